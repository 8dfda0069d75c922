"""Paints a drawing as a photo shows it: its points, patterns, light and shadow go through one projection."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from item_embed.catalog.drawing import textures
from item_embed.catalog.drawing.pen import RGB, Drawing, Part

SUPERSAMPLING = 2
_SMALL = 20  # pixels of the larger image: a part below this shows neither form nor material
_GRAINY = 100  # pixels of the larger image that a drawing's unit must have for its material to be seen
_CLEAR = 150  # how much of what lies behind glass is covered, of 255
_WHOLE = [0, *[255] * 255]
_MODE = "RGBa"  # four channels that Pillow shrinks as they are

Projection = NDArray[np.float64]  # (3, 3), from the drawing's space to pixels
Frame = tuple[int, int, int, int]


@dataclass(frozen=True)
class Painted:
    """A painted drawing: its colours, and how much each pixel is covered (mode "L")."""

    colours: Image.Image
    cover: Image.Image


def project(points: NDArray[np.float64], projection: Projection) -> NDArray[np.float64]:
    """Where points come to lie, (n, 2)."""
    flat = points @ projection[:2, :2].T + projection[:2, 2]
    if projection[2, 0] or projection[2, 1]:
        flat /= (points @ projection[2, :2] + projection[2, 2])[:, None]
    return np.asarray(flat)


def paint(drawing: Drawing, projection: Projection, size: tuple[int, int]) -> Painted:
    """Paint a drawing onto nothing.

    Args:
        drawing: what to paint.
        projection: from the drawing's space to the image's pixels.
        size: of the image: width, height. What lies outside is left out.

    Mapping points rather than pixels keeps every edge sharp at any angle and scale, and costs almost nothing.
    Colours, and light and shadow, are drawn at twice the size in one image of four channels, the tone in place of
    opacity; they are brought together once, at the end.
    """
    fine = np.diag([float(SUPERSAMPLING), SUPERSAMPLING, 1]) @ projection
    canvas = _Canvas((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), drawing, fine)
    for number, part in enumerate(drawing.parts):
        canvas.draw(number, part)
    return canvas.finished(drawing)


class _Canvas:
    def __init__(self, size: tuple[int, int], drawing: Drawing, projection: Projection) -> None:
        self.image = Image.new(_MODE, size, (0, 0, 0, 0))
        self._size = size
        self._draw = ImageDraw.Draw(self.image)
        self._back = np.linalg.inv(projection)
        self._points = points = project(drawing.points, projection)
        self._flat: list[float] = points.ravel().tolist()
        starts = [part.start for part in drawing.parts]
        self._low: list[list[float]] = np.minimum.reduceat(points, starts, axis=0).tolist() if starts else []
        self._high: list[list[float]] = np.maximum.reduceat(points, starts, axis=0).tolist() if starts else []
        self._unit = float(np.sqrt(abs(np.linalg.det(projection[:2, :2]))))  # pixels per unit of the drawing
        self._edge = max(1, round(max(size) / 190))

    def draw(self, number: int, part: Part) -> None:
        (left, top), (right, bottom) = self._low[number], self._high[number]
        width, height = self._size
        if right < 0 or bottom < 0 or left >= width or top >= height:
            return
        if part.width and part.width * self._unit < 0.35:  # too fine for this photo
            return
        fine = right - left > _SMALL or bottom - top > _SMALL
        if part.stencil is not None or part.paint is not None or (part.to_box is not None and fine):
            frame = max(0, int(left)), max(0, int(top)), min(width, int(right) + 2), min(height, int(bottom) + 2)
            if part.stencil is not None:
                self._letter(part, part.stencil, frame)
                return
            self._cover(part, frame)
        elif part.width and part.width * self._unit < 2.5:
            line = self._flat[2 * part.stop : 2 * part.middle]
            self._draw.line(line, (*part.colour, textures.NEUTRAL), max(1, round(part.width * self._unit)))
            return
        else:
            self._draw.polygon(self._flat[2 * part.start : 2 * part.stop], (*part.colour, textures.NEUTRAL))
        if part.edge is not None and right - left + bottom - top > 8:
            outline = self._flat[2 * part.start : 2 * part.stop]
            self._draw.line(outline + outline[:2], (*part.edge, textures.NEUTRAL), self._edge)

    def _letter(self, part: Part, stencil: Image.Image, frame: Frame) -> None:
        if part.to_box is not None:
            mask = self._seen(stencil, frame, part.to_box, Image.Resampling.BILINEAR)
            self.image.paste(Image.new(_MODE, mask.size, (*part.colour, textures.NEUTRAL)), frame, mask)

    def _cover(self, part: Part, frame: Frame) -> None:
        """Fill an outline with a pattern, a form's light and shadow, a material's grain."""
        size = (frame[2] - frame[0], frame[3] - frame[1])
        mask = Image.new("L", size)
        moved = self._points[part.start : part.stop] - frame[:2]
        ImageDraw.Draw(mask).polygon(moved.ravel().tolist(), 255)
        side = textures.fitting_side(self._unit)
        tone = self._tone(part, frame, side)
        tile = _tile(part.colour, tone, size)
        if part.paint is not None:
            pattern = textures.pattern(part.paint.pattern, part.paint.repeats, side)
            drawn = self._seen(pattern, frame, _scaled(side))
            tile.paste(_tile(part.paint.second, tone, size), None, drawn)
        self.image.paste(tile, frame, mask)

    def _tone(self, part: Part, frame: Frame, side: int) -> Image.Image | None:
        if part.to_box is None:
            return None
        form = textures.tone(part.shade, part.finish)
        to_form = _scaled(form.width) @ part.to_box
        tone = self._seen(form, frame, to_form, outside=textures.NEUTRAL)
        grain = textures.grain(part.finish, side) if self._unit > _GRAINY else None
        if grain is None:
            return tone
        drawn = self._seen(grain, frame, _scaled(side), outside=textures.NEUTRAL)
        return ImageChops.add(tone, drawn, offset=-textures.NEUTRAL)

    def _seen(
        self,
        texture: Image.Image,
        frame: Frame,
        to_texture: Projection,
        resample: Image.Resampling = Image.Resampling.NEAREST,
        outside: int = 0,
    ) -> Image.Image:
        """The texture as seen in a frame of the image; `to_texture` maps the drawing's space to texture pixels."""
        size = (frame[2] - frame[0], frame[3] - frame[1])
        x, y = frame[0] + size[0] / 2, frame[1] + size[1] / 2
        (a, b, c), (d, e, f), (g, h, i) = (to_texture @ self._back).tolist()
        # Keystone is slight: the map at the frame's middle does for all of it, and is five times as fast.
        depth = g * x + h * y + i
        u, v = (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
        a, b, d, e = (a - g * u) / depth, (b - h * u) / depth, (d - g * v) / depth, (e - h * v) / depth
        affine = (a, b, u - a * size[0] / 2 - b * size[1] / 2, d, e, v - d * size[0] / 2 - e * size[1] / 2)
        return texture.transform(size, Image.Transform.AFFINE, affine, resample, fillcolor=outside)

    def finished(self, drawing: Drawing) -> Painted:
        cover = self.image.getchannel("a").point(_WHOLE)
        if any(part.finish == "glass" for part in drawing.parts):
            self._clear(cover, drawing)
        *colours, tone = self.image.reduce(SUPERSAMPLING).split()
        lit = Image.merge("RGB", [ImageChops.hard_light(colour, tone) for colour in colours])
        return Painted(lit, cover.reduce(SUPERSAMPLING))

    def _clear(self, cover: Image.Image, drawing: Drawing) -> None:
        """Let the background through where glass is in front."""
        draw = ImageDraw.Draw(cover)
        for part in drawing.parts:
            if part.stencil is None:
                outline = self._flat[2 * part.start : 2 * part.stop]
                draw.polygon(outline, _CLEAR if part.finish == "glass" else 255)


def _tile(colour: RGB, tone: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """A rectangle of one colour with light and shadow on it."""
    if tone is None:
        return Image.new(_MODE, size, (*colour, textures.NEUTRAL))
    return Image.merge(_MODE, [*(Image.new("L", size, level) for level in colour), tone])


@lru_cache(maxsize=16)
def _scaled(side: int) -> Projection:
    """Maps the unit square to a texture's pixels."""
    return np.diag([float(side), side, 1])
