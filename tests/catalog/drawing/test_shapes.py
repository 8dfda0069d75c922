import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.drawing import shapes

coordinate = st.floats(0, 1, allow_nan=False)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8))
@settings(max_examples=25, deadline=None)
def test_curves_pass_through_their_points(points: list[tuple[float, float]]) -> None:
    closed, opened = shapes.smooth(*points), shapes.curve(*points)
    np.testing.assert_allclose(closed[::8], points, atol=1e-12)
    np.testing.assert_allclose(opened[::8], points, atol=1e-12)


def test_a_profile_is_symmetric_about_its_axis() -> None:
    outline = shapes.profile((0.1, 0.2), (0.3, 0.5), (0.2, 0.9), axis=0.4)
    np.testing.assert_allclose(shapes.flipped(outline, 0.4)[::-1], outline, atol=1e-12)
    assert outline[:, 0].max() > 0.69


def test_a_round_box_stays_in_its_box_and_touches_its_sides() -> None:
    outline = shapes.box(0.1, 0.2, 0.9, 0.6, radius=0.15)
    np.testing.assert_allclose(outline.min(0), (0.1, 0.2), atol=1e-12)
    np.testing.assert_allclose(outline.max(0), (0.9, 0.6), atol=1e-12)
    assert np.hypot(*(outline - (0.1, 0.2)).T).min() > 0.05  # the corner itself is cut off


def test_rays_point_like_the_hands_of_a_clock() -> None:
    np.testing.assert_allclose(shapes.ray(90, 0, 0.25), [(0.5, 0.5), (0.75, 0.5)], atol=1e-12)
    np.testing.assert_allclose(shapes.ray(0, 0, 0.25)[1], (0.5, 0.25), atol=1e-12)


def test_an_arc_spans_its_degrees() -> None:
    arc = shapes.ellipse(0.5, 0.5, 0.4, 0.2, (0, 90))
    np.testing.assert_allclose(arc[[0, -1]], [(0.9, 0.5), (0.5, 0.7)], atol=1e-12)


@given(st.tuples(coordinate, coordinate), st.tuples(coordinate, coordinate), st.floats(0.01, 0.3))
@settings(max_examples=25, deadline=None)
def test_a_straight_ribbon_is_what_a_line_of_three_points_gives(
    start: tuple[float, float], end: tuple[float, float], width: float
) -> None:
    if np.hypot(end[0] - start[0], end[1] - start[1]) < 0.01:
        return
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    straight = shapes.ribbon(shapes.polygon(start, end), width)
    general = shapes.ribbon(shapes.polygon(start, middle, end), width)
    np.testing.assert_allclose(straight, np.delete(general, (1, 8), axis=0), atol=1e-9)


def test_a_ribbon_keeps_its_width_around_a_bend() -> None:
    line = shapes.ellipse(0.5, 0.5, 0.3, 0.3, (0, 90))
    radii = np.hypot(*(shapes.ribbon(line, 0.1) - 0.5).T)
    np.testing.assert_allclose([radii.min(), radii.max()], [0.25, 0.35], atol=0.002)
