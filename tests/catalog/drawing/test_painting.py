import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.drawing import shapes, textures
from item_embed.catalog.drawing.painting import Painted, paint, project
from item_embed.catalog.drawing.pen import Paint, Pen

RED, BLUE = (200, 30, 30), (30, 30, 200)


def _painted(pen: Pen, side: int = 64, projection: NDArray[np.float64] | None = None) -> Painted:
    upright = np.diag([float(side), side, 1]) if projection is None else projection
    return paint(pen.drawing(), upright, (side, side))


def test_a_pen_fills_inside_an_outline_only() -> None:
    pen = Pen()
    pen.fill(shapes.box(0.25, 0.25, 0.75, 0.75), RED, edge=False)
    painted = _painted(pen)
    assert painted.colours.getpixel((32, 32)) == RED
    assert painted.cover.getpixel((32, 32)) == 255
    assert painted.cover.getpixel((8, 32)) == 0


def test_nothing_drawn_is_nothing_painted() -> None:
    painted = _painted(Pen())
    assert painted.cover.getbbox() is None


def test_shading_darkens_the_right_side_of_a_cylinder_and_keeps_the_outline() -> None:
    flat, round_ = Pen(), Pen()
    outline = shapes.box(0.2, 0.2, 0.8, 0.8)
    flat.fill(outline, RED)
    round_.fill(outline, RED, "cylinder")
    left, right = (np.asarray(_painted(round_).colours)[32, x, 0] for x in (30, 48))
    assert right < left
    np.testing.assert_array_equal(np.asarray(_painted(flat).cover), np.asarray(_painted(round_).cover))


def test_a_pattern_turns_and_mirrors_with_the_product() -> None:
    pen = Pen()
    pen.fill(shapes.box(0.1, 0.1, 0.9, 0.9), Paint(RED, BLUE, "stripes", 4), edge=False)
    turned = np.array([[0, 64.0, 0], [64.0, 0, 0], [0, 0, 1]])  # x and y change places
    a, b = (np.asarray(_painted(pen, 64, view).colours, int)[8:56, 8:56] for view in (None, turned))
    assert np.abs(a[:, 0] - RED).sum(1).min() == 0
    assert np.abs(a[:, 0] - BLUE).sum(1).min() < 9
    np.testing.assert_array_equal(a, b.transpose(1, 0, 2))


def test_text_is_read_from_left_to_right() -> None:
    pen = Pen()
    pen.text("I....", (0.5, 0.5), 0.3, RED)
    ink = np.asarray(_painted(pen, 200).cover) > 128
    columns = np.flatnonzero(ink.any(0))
    assert ink[:, columns[0] : columns[0] + 8].sum() > ink[:, columns[-1] - 8 :].sum()


def test_a_part_in_front_hides_the_part_behind() -> None:
    pen = Pen()
    pen.fill(shapes.box(0, 0, 1, 1), Paint(RED, BLUE, "dots"), "ball")
    pen.fill(shapes.box(0.25, 0.25, 0.75, 0.75), BLUE, edge=False)
    assert _painted(pen).colours.getpixel((32, 32)) == BLUE


@pytest.mark.parametrize("finish", ["", *textures.FINISHES])
@pytest.mark.parametrize("shade", ["", "cylinder", "ball", "cloth", "gloss", "down", "up", "side"])
def test_no_light_or_shadow_makes_a_hole(shade: str, finish: str) -> None:
    pen = Pen(finish)
    pen.fill(shapes.box(-0.1, -0.1, 1.1, 1.1), Paint(BLUE, RED, "checks"), shade)
    cover = np.asarray(_painted(pen, 160).cover)
    assert cover.min() == cover.max() == (255 if finish != "glass" else cover.max())
    assert (cover.max() < 255) == (finish == "glass")


def test_a_projection_with_depth_shows_the_nearer_side_larger() -> None:
    near_left = np.array([[1.0, 0, 0], [0, 1, 0], [0.5, 0, 1]])
    square = project(shapes.box(0, 0, 1, 1), near_left)
    left, right = square[3, 1] - square[0, 1], square[2, 1] - square[1, 1]
    assert left > 1.4 * right
    np.testing.assert_allclose(project(shapes.box(0, 0, 1, 1), np.eye(3)), shapes.box(0, 0, 1, 1))


def test_a_line_too_fine_for_the_photo_is_left_out() -> None:
    pen = Pen()
    pen.line(shapes.polygon((0.1, 0.5), (0.9, 0.5)), 0.004, RED)
    assert _painted(pen, 16).cover.getbbox() is None
    assert _painted(pen, 256).cover.getbbox() is not None


def test_a_line_has_round_ends_and_its_width() -> None:
    pen = Pen()
    pen.line(shapes.polygon((0.3, 0.5), (0.7, 0.5)), 0.2, RED)
    left, top, right, bottom = _painted(pen, 200).cover.getbbox() or (0, 0, 0, 0)
    assert (left, top, right, bottom) == pytest.approx((40, 80, 160, 120), abs=2)
