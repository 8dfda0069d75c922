"""A pen that writes down how a product is drawn: its parts, in the product's own space, from back to front."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from item_embed.catalog.drawing import shapes
from item_embed.catalog.drawing.shapes import Outline, Point

RGB = tuple[int, int, int]
_TEXT_HEIGHT = 40  # pixels in which a text is set before it is mapped onto a product


@dataclass(frozen=True)
class Paint:
    """A colour, and the pattern that a second colour makes on it."""

    colour: RGB
    second: RGB
    pattern: str = "plain"
    repeats: int = 6

    def plain(self, colour: RGB | None = None) -> "Paint":
        """The same material without its pattern, perhaps in another colour."""
        return replace(self, pattern="plain", colour=colour or self.colour)


def mix(colour: RGB, other: RGB, share: float) -> RGB:
    """A colour that is `share` of the way to the other one."""
    r, g, b = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return r, g, b


def darker(colour: RGB, share: float = 0.3) -> RGB:
    """The colour mixed with black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: RGB, share: float = 0.3) -> RGB:
    """The colour mixed with white."""
    return mix(colour, (255, 255, 255), share)


def brightness(colour: RGB) -> float:
    """How bright the colour looks, from 0 to 1 (Rec. 601 luma)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


@dataclass(frozen=True)
class Part:
    """One step of a drawing; its outline is a run of the drawing's points.

    Attributes:
        start, stop: the outline's points.
        colour: what fills it.
        paint: the pattern on it, or None.
        shade: see `textures.tone`, "" for none.
        finish: see `textures.FINISHES`, "" for none.
        to_box: (3, 3), maps a point to the square around the part, where its shade is, or where its stencil is.
        edge: colour of the edge, or None.
        width: of a line, 0 for what is filled; a line's middle follows its outline in the points, up to `middle`.
        stencil: letters to fill instead of the outline, or None.
    """

    start: int
    stop: int
    colour: RGB
    paint: Paint | None = None
    shade: str = ""
    finish: str = ""
    to_box: NDArray[np.float64] | None = None
    edge: RGB | None = None
    width: float = 0.0
    middle: int = 0
    stencil: Image.Image | None = None


@dataclass(frozen=True)
class Drawing:
    """Parts from back to front, and their points, (n, 2)."""

    points: NDArray[np.float64]
    parts: tuple[Part, ...]


class Pen:
    """Writes down outlines to fill, lines and words, all in the unit square, x to the right and y down.

    A drawing is made once for a product and painted for each of its photos: see `painting.paint`.

    Args:
        finish: how what is filled with a `Paint` looks: one of `textures.FINISHES`, or "".

    Examples:
        >>> pen = Pen()
        >>> pen.fill(shapes.ellipse(0.5, 0.5, 0.4, 0.4), (200, 30, 30), "ball")
        >>> len(pen.drawing().parts)
        1
    """

    def __init__(self, finish: str = "") -> None:
        self._finish = finish
        self._points: list[NDArray[np.float64]] = []
        self._parts: list[Part] = []
        self._count = 0

    def drawing(self) -> Drawing:
        """What was drawn so far."""
        points = np.concatenate(self._points) if self._points else np.zeros((0, 2))
        return Drawing(points, tuple(self._parts))

    def fill(self, outline: Outline, paint: Paint | RGB, shade: str = "", edge: bool = True) -> None:
        """Fill an outline, shade it (see `textures.tone`) and draw its edge in a darker tone."""
        material = isinstance(paint, Paint)
        colour = paint.colour if isinstance(paint, Paint) else paint
        finish = self._finish if material else ""
        start = self._add(outline)
        part = Part(
            start,
            self._count,
            colour,
            paint if isinstance(paint, Paint) and paint.pattern != "plain" else None,
            shade,
            finish,
            _to_box(outline) if shade or finish else None,
            darker(colour, 0.38) if edge else None,
        )
        self._parts.append(part)

    def line(self, outline: Outline, width: float, paint: Paint | RGB, edge: bool = False) -> None:
        """Draw a line with round ends; an edge makes it look like a tube."""
        if isinstance(paint, Paint) and self._finish:
            self.fill(shapes.ribbon(outline, width), paint.plain(), "", edge)
            return
        colour = paint.colour if isinstance(paint, Paint) else paint
        rim = darker(colour, 0.38) if edge else None
        start = self._add(shapes.ribbon(outline, width))
        stop = self._count
        self._add(outline)
        self._parts.append(Part(start, stop, colour, edge=rim, width=width, middle=self._count))
        if edge and width > 0.012:
            self.line(outline - width * 0.18, width * 0.25, lighter(colour, 0.25))

    def text(self, words: str, centre: Point, height: float, colour: RGB, turn: float = 0.0) -> None:
        """Write words about a centre, `height` tall, turned clockwise by degrees."""
        stencil = _lettering(words)
        scale = height / _TEXT_HEIGHT
        c, s = np.cos(np.deg2rad(turn)) * scale, np.sin(np.deg2rad(turn)) * scale
        turned = np.array([[c, -s], [s, c]])
        origin = np.asarray(centre) - turned @ (np.asarray(stencil.size) / 2)
        start = self._add(shapes.box(0, 0, *stencil.size) @ turned.T + origin)
        back = np.eye(3)
        back[:2, :2] = np.linalg.inv(turned)
        back[:2, 2] = -back[:2, :2] @ origin
        self._parts.append(Part(start, self._count, colour, to_box=back, stencil=stencil, width=height * 0.12))

    def _add(self, outline: Outline) -> int:
        start = self._count
        self._points.append(outline)
        self._count += len(outline)
        return start


def _to_box(outline: Outline) -> NDArray[np.float64]:
    (left, top), (right, bottom) = outline.min(0).tolist(), outline.max(0).tolist()
    across, down = 1 / max(right - left, 1e-6), 1 / max(bottom - top, 1e-6)
    return np.array([[across, 0, -left * across], [0, down, -top * down], [0, 0, 1]])


@lru_cache(maxsize=256)
def _lettering(words: str) -> Image.Image:
    """The words as a stencil: where ink comes, 255."""
    font = ImageFont.load_default(_TEXT_HEIGHT)
    left, top, right, bottom = font.getbbox(words)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), words, fill=255, font=font)
    return image
