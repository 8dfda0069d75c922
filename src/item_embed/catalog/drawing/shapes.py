"""Outlines in a product's own space: the unit square, x to the right and y down."""

from functools import lru_cache

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
    return np.asarray(_arc(*span) * (rx, ry) + (x, y))


@lru_cache(maxsize=128)
def _arc(start: float, stop: float) -> Outline:
    """An arc of the circle of radius 1 about 0: products have many, and few different ones."""
    angles = np.deg2rad(np.linspace(start, stop, 40))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """A rectangle, its corners rounded with `radius`."""
    r = min(radius, (right - left) / 2, (bottom - top) / 2)
    if r <= 0:
        return polygon((left, top), (right, top), (right, bottom), (left, bottom))
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    return np.asarray(_CORNERS * r + _CORNER_SIGNS * ((right - left) / 2 - r, (bottom - top) / 2 - r) + middle)


# Four quarters of a circle, each of seven points, and the way from a box's centre to each one's corner.
_QUARTERS = np.deg2rad((np.linspace(0, 90, 7) + np.array([[0], [90], [180], [270]])).ravel())
_CORNERS = np.stack([np.cos(_QUARTERS), np.sin(_QUARTERS)], axis=1)
_CORNER_SIGNS = np.repeat(np.array([(1.0, 1.0), (-1, 1), (-1, -1), (1, -1)]), 7, axis=0)


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
    controls = np.stack([before, start, stop, after], axis=1)  # (segments, 4, 2)
    return np.asarray(_SPLINE @ controls).reshape(-1, 2)


_T = np.linspace(0, 1, 8, endpoint=False)[:, None]
#: Weights of the four control points at eight places of a segment, (8, 4).
_SPLINE = 0.5 * np.concatenate(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, -(_T**2) + _T**3], axis=1
)


def ribbon(line: Outline, width: float) -> Outline:
    """The outline of a wide line with mitred corners and round ends."""
    if len(line) == 2:  # most lines
        x, y = (line[1] - line[0]).tolist()
        reach = width / 2 / max(float(np.hypot(x, y)), 1e-9)
        return np.asarray(_BAR @ np.array([[x, y], [x * reach, y * reach], [-y * reach, x * reach]]) + line[0])
    steps = np.diff(line, axis=0)
    along = steps / np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)[:, None]
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    before, after = np.concatenate([normals[:1], normals]), np.concatenate([normals, normals[-1:]])
    side = (before + after) / np.maximum(1 + (before * after).sum(1), 0.4)[:, None] * (width / 2)
    start, end = _cap(-normals[0], width) + line[0], _cap(normals[-1], width) + line[-1]
    return np.concatenate([line + side, end, (line - side)[::-1], start])


def _cap(normal: NDArray[np.float64], width: float) -> Outline:
    """Half a circle from the normal to its opposite: the round end of a line."""
    x, y = (normal * (width / 2)).tolist()
    return np.asarray(_arc(0, -180)[6:-6:7] @ np.array([[x, y], [-y, x]]))


def _bar() -> NDArray[np.float64]:
    """A straight line's outline as (share of its length, half widths along it, half widths to its left)."""
    cos, sin = _arc(0, -180)[6:-6:7].T
    end = np.stack([np.ones(len(cos)), -sin, cos], axis=1)
    return np.concatenate([[(0, 0, 1), (1, 0, 1)], end, [(1, 0, -1), (0, 0, -1)], end * (0, -1, -1)])


_BAR = _bar()
