"""A pen that draws a product's parts, given in the product's own space, onto a transparent layer."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from item_embed.catalog.drawing import shapes, textures
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


class Pen:
    """Fills outlines and draws lines; points pass through one affine map from the product to the layer.

    Mapping points rather than pixels keeps every edge sharp at any angle and scale, and costs almost nothing.

    Args:
        side: width and height of the layer, pixels.
        to_pixels: (2, 3), maps (x, y, 1) of the unit square to the layer.

    Example:
        >>> pen = Pen(64, np.array([[64.0, 0, 0], [0, 64, 0]]))
        >>> pen.fill(shapes.ellipse(0.5, 0.5, 0.4, 0.4), (200, 30, 30), "ball")
        >>> pen.layer.getpixel((2, 2))
        (0, 0, 0, 0)
    """

    def __init__(self, side: int, to_pixels: NDArray[np.float64]) -> None:
        self.layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.layer)
        self._linear, self._shift = to_pixels[:, :2], to_pixels[:, 2]
        self._back = np.linalg.inv(self._linear)
        self._unit = float(np.sqrt(abs(np.linalg.det(self._linear))))  # pixels per unit of the product's space
        self._edge = max(1, round(side / 190))

    def fill(self, outline: Outline, paint: Paint | RGB, shade: str = "", edge: bool = True) -> None:
        """Fill an outline, shade it (see `textures.shade`) and draw its edge in a darker tone."""
        colour = paint.colour if isinstance(paint, Paint) else paint
        pixels = self._pixels(outline)
        patterned = isinstance(paint, Paint) and paint.pattern != "plain"
        if patterned or shade:
            self._fill_masked(outline, pixels, paint, shade)
        else:
            self._draw.polygon(pixels.ravel().tolist(), fill=(*colour, 255))
        if edge:
            closed = np.concatenate([pixels, pixels[:1]]).ravel().tolist()
            self._draw.line(closed, fill=(*darker(colour, 0.38), 255), width=self._edge)

    def line(self, outline: Outline, width: float, colour: RGB, edge: bool = False) -> None:
        """Draw a line with round ends; `width` is in the product's space. An edge makes it look like a tube."""
        flat = self._pixels(outline)
        thick = max(1.0, width * self._unit)
        if edge:
            self._stroke(flat, thick + 2 * self._edge, darker(colour, 0.38))
        self._stroke(flat, thick, colour)
        if edge and thick > 4:
            self._stroke(flat - thick * 0.18, thick * 0.25, lighter(colour, 0.25))

    def text(self, words: str, centre: Point, height: float, colour: RGB, turn: float = 0.0) -> None:
        """Write words about a centre, `height` tall in the product's space, turned clockwise by degrees."""
        stencil = _lettering(words)
        scale = height / _TEXT_HEIGHT
        c, s = np.cos(np.deg2rad(turn)) * scale, np.sin(np.deg2rad(turn)) * scale
        turned = np.array([[c, -s], [s, c]])
        origin = np.asarray(centre) - turned @ (np.asarray(stencil.size) / 2)
        corners = shapes.box(0, 0, *stencil.size) @ turned.T + origin
        frame = self._frame(self._pixels(corners))
        if frame is not None:
            mask = self._mapped(stencil, frame, np.linalg.inv(turned), origin, Image.Resampling.BILINEAR)
            self.layer.paste((*colour, 255), frame, mask)

    def _pixels(self, outline: Outline) -> NDArray[np.float64]:
        return np.asarray(outline @ self._linear.T + self._shift)

    def _frame(self, pixels: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
        """The part of the layer that some pixels touch, or None where they lie outside."""
        side = self.layer.width
        left, top = np.clip(np.floor(pixels.min(0)), 0, side).astype(int).tolist()
        right, bottom = np.clip(np.ceil(pixels.max(0)) + 1, 0, side).astype(int).tolist()
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _fill_masked(self, outline: Outline, pixels: NDArray[np.float64], paint: Paint | RGB, shade: str) -> None:
        frame = self._frame(pixels)
        if frame is None:
            return
        mask = Image.new("L", (frame[2] - frame[0], frame[3] - frame[1]))
        ImageDraw.Draw(mask).polygon((pixels - frame[:2]).ravel().tolist(), fill=255)
        self.layer.paste((*(paint.colour if isinstance(paint, Paint) else paint), 255), frame, mask)
        if isinstance(paint, Paint) and paint.pattern != "plain":
            texture = textures.pattern(paint.pattern, paint.repeats)
            drawn = self._mapped(texture, frame, np.eye(2) * texture.width, np.zeros(2), Image.Resampling.NEAREST)
            self.layer.paste((*paint.second, 255), frame, ImageChops.multiply(drawn, mask))
        if shade:
            low = outline.min(0)
            for texture_, tone in zip(textures.shade(shade), ((0, 0, 0, 255), (255, 255, 255, 255)), strict=True):
                if texture_ is not None:
                    scale = np.diag(texture_.width / np.maximum(outline.max(0) - low, 1e-6))
                    drawn = self._mapped(texture_, frame, scale, low, Image.Resampling.BILINEAR)
                    self.layer.paste(tone, frame, ImageChops.multiply(drawn, mask))

    def _mapped(
        self,
        texture: Image.Image,
        frame: tuple[int, int, int, int],
        to_texture: NDArray[np.float64],
        origin: NDArray[np.float64],
        resample: Image.Resampling,
    ) -> Image.Image:
        """The texture as seen in a frame of the layer; `to_texture` maps (point - origin) to texture pixels."""
        linear = to_texture @ self._back
        shift = linear @ (np.asarray(frame[:2]) - self._shift) - to_texture @ origin
        data = (*linear[0].tolist(), float(shift[0]), *linear[1].tolist(), float(shift[1]))
        size = (frame[2] - frame[0], frame[3] - frame[1])
        return texture.transform(size, Image.Transform.AFFINE, data, resample)

    def _stroke(self, pixels: NDArray[np.float64], width: float, colour: RGB) -> None:
        if width <= 3:
            self._draw.line(pixels.ravel().tolist(), fill=(*colour, 255), width=max(1, round(width)))
        else:
            self._draw.polygon(_ribbon(pixels, width / 2).ravel().tolist(), fill=(*colour, 255))
            for x, y in (pixels[0].tolist(), pixels[-1].tolist()):
                r = width / 2 - 0.5
                self._draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))


def _ribbon(line: NDArray[np.float64], half_width: float) -> NDArray[np.float64]:
    """The outline of a wide line, its corners mitred: PIL's own wide lines have ragged edges on curves."""
    steps = np.diff(line, axis=0)
    along = steps / np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)[:, None]
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    before, after = np.concatenate([normals[:1], normals]), np.concatenate([normals, normals[-1:]])
    mitre = (before + after) / np.maximum(1 + (before * after).sum(1), 0.4)[:, None]
    return np.concatenate([line + mitre * half_width, (line - mitre * half_width)[::-1]])


@lru_cache(maxsize=256)
def _lettering(words: str) -> Image.Image:
    font = ImageFont.load_default(_TEXT_HEIGHT)
    left, top, right, bottom = font.getbbox(words)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), words, fill=255, font=font)
    return image
