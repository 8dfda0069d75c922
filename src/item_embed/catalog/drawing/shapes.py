"""Outlines in a product's own space: the unit square, x to the right and y down."""

import numpy as np
from numpy.typing import NDArray

#: Points of a polygon or a line, (n, 2).
Outline = NDArray[np.float64]
Point = tuple[float, float]


def polygon(*points: Point) -> Outline:
    """Straight lines between the given points."""
    return np.asarray(points, np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, span: tuple[float, float] = (0, 360)) -> Outline:
    """An ellipse about (x, y), or the arc of it that spans some degrees (0 is right, 90 is down)."""
    angles = np.deg2rad(np.linspace(*span, 40))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """A rectangle, its corners rounded with `radius`."""
    r = min(radius, (right - left) / 2, (bottom - top) / 2)
    if r <= 0:
        return polygon((left, top), (right, top), (right, bottom), (left, bottom))
    centres = ((right - r, bottom - r), (left + r, bottom - r), (left + r, top + r), (right - r, top + r))
    quarter = np.deg2rad(np.linspace(0, 90, 7))
    corners = [
        np.stack([x + r * np.cos(quarter + turn), y + r * np.sin(quarter + turn)], axis=1)
        for (x, y), turn in zip(centres, np.deg2rad([0, 90, 180, 270]), strict=True)
    ]
    return np.concatenate(corners)


def smooth(*points: Point) -> Outline:
    """A closed Catmull-Rom spline through the given points: eight short lines between each two."""
    p = np.asarray(points, np.float64)
    return _spline(np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0))


def curve(*points: Point) -> Outline:
    """An open Catmull-Rom spline from the first point to the last."""
    p = np.asarray(points, np.float64)
    ends = np.concatenate([p[:1], p, p[-1:]])
    return np.concatenate([_spline(ends[:-3], ends[1:-2], ends[2:-1], ends[3:]), p[-1:]])


def profile(*points: Point, axis: float = 0.5) -> Outline:
    """A symmetric outline: a curve from top to bottom as (distance from the axis, y), and its mirror image."""
    return symmetric(curve(*points) + np.array([axis, 0]), axis)


def symmetric(right: Outline, axis: float = 0.5) -> Outline:
    """Close a right half, given from top to bottom, with its mirror image about the vertical axis."""
    return np.concatenate([right, flipped(right, axis)[::-1]])


def flipped(outline: Outline, axis: float = 0.5) -> Outline:
    """The mirror image about the vertical axis."""
    return outline * (-1, 1) + (2 * axis, 0)


def ray(degrees: float, near: float, far: float) -> Outline:
    """A line away from the square's centre, from one distance to another; 0 degrees points up, 90 right."""
    angle = np.deg2rad(degrees)
    return 0.5 + np.outer([near, far], [np.sin(angle), -np.cos(angle)])


def _spline(before: Outline, start: Outline, stop: Outline, after: Outline) -> Outline:
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    curved = 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    )
    return curved.transpose(1, 0, 2).reshape(-1, 2)
