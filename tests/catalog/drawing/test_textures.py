from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.drawing import shapes, textures
from item_embed.catalog.drawing.painting import paint
from item_embed.catalog.drawing.pen import Paint, Pen

PLAIN = Paint((90, 120, 170), (230, 230, 230))


def _seen(finish: str, side: int = 128) -> NDArray[np.int64]:
    pen = Pen(finish)
    pen.fill(shapes.box(0.1, 0.1, 0.9, 0.9), PLAIN, "cylinder")
    painted = paint(pen.drawing(), np.diag([float(side), side, 1]), (side, side))
    on_white = np.where(np.asarray(painted.cover)[..., None] > 200, np.asarray(painted.colours, np.int64), 255)
    return np.asarray(on_white[16:112, 16:112])


def test_every_two_finishes_look_different() -> None:
    seen = {finish: _seen(finish) for finish in ("", *textures.FINISHES)}
    for a, b in combinations(seen, 2):
        assert np.abs(seen[a] - seen[b]).mean() > 3, (a, b)


def test_no_finish_shows_on_what_is_not_made_of_the_material() -> None:
    bare, metal = Pen(), Pen("metal")
    for pen in (bare, metal):
        pen.fill(shapes.box(0.1, 0.1, 0.9, 0.9), (90, 120, 170), "ball")
    a, b = (paint(pen.drawing(), np.diag([64.0, 64, 1]), (64, 64)).colours.tobytes() for pen in (bare, metal))
    assert a == b


@pytest.mark.parametrize("name", [name for name in textures.PATTERNS if name != "plain"])
def test_coarse_copies_of_a_pattern_keep_its_share_of_the_second_colour(name: str) -> None:
    fine, coarse = (np.asarray(textures.pattern(name, 6, side), float).mean() for side in (256, 64))
    assert 20 < fine < 235
    assert coarse == pytest.approx(fine, abs=1)


def test_small_photos_take_coarse_textures() -> None:
    assert [textures.fitting_side(pixels) for pixels in (20, 90, 150, 400)] == [64, 128, 128, 256]


def test_a_grain_never_meets_a_form_in_black() -> None:
    darkest = min(
        int(np.asarray(textures.tone(shade, finish)).min()) + int(np.asarray(grain).min()) - textures.NEUTRAL
        for finish in textures.FINISHES
        for shade in ("", "cylinder", "ball", "gloss", "down")
        if (grain := textures.grain(finish)) is not None
    )
    assert darkest > 0
