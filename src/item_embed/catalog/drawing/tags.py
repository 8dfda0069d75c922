"""The paper tag at a product: a few lines of print that can be read in the photo."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from item_embed.catalog.drawing.pen import RGB
from item_embed.catalog.drawing.products import pick

Size = tuple[int, int]  # width, height
Box = tuple[int, int, int, int]
_PRINT = 0.066  # height of the letters' square over the photo's shorter side
_WIDEST = 0.6  # of the photo
_FINE = 2  # tags are drawn so many times larger and shrunk
_INK: RGB = (28, 28, 34)
_THREAD: RGB = (112, 98, 84)
_PAPERS: tuple[RGB, ...] = ((252, 252, 250), (248, 242, 224), (226, 204, 168), (250, 236, 150), (222, 234, 244))
_SHADOW = [level * 2 // 5 for level in range(256)]  # how dark a tag's shadow is, of how much the tag covers
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # left or right, top or bottom


class Tag:
    """A tag and its place in a photo; chosen before the product's, which makes room for it.

    Args:
        lines: what is printed on it.
        size: of the photo: width, height.
        random: where its place, paper and turn come from.

    Attributes:
        box: where it lies: left, top, right, bottom.
        low: whether it stands at the product's foot, and does not hang above.
    """

    def __init__(self, lines: tuple[str, ...], size: Size, random: np.random.Generator) -> None:
        paper, turn = pick(random, _PAPERS), float(random.uniform(-4, 4))
        self._right, self.low = pick(random, _CORNERS)
        self._card = _turned(lines, paper, turn, size)
        inset = (random.uniform(0.012, 0.05, 2) * min(size)).tolist()
        spare = [whole - part for whole, part in zip(size, self._card.size, strict=True)]
        at = [
            max(0, min(gap, round(gap - space if far else space)))
            for gap, space, far in zip(spare, inset, (self._right, self.low), strict=True)
        ]
        self.box: Box = (at[0], at[1], at[0] + self._card.width, at[1] + self._card.height)

    def room(self, whole: float = 1.0) -> tuple[float, float]:
        """How much of the photo's top and bottom is the tag's, pixels; or a share of that."""
        taken = whole * self._card.height
        return (0.0, taken) if self.low else (taken, 0.0)

    def draw(self, photo: Image.Image, product: NDArray[np.float64]) -> None:
        """Hang the tag at the nearest of the product's points, or stand it at its foot."""
        left, top, right, bottom = self.box
        if not self.low:
            hole = np.array(
                [left + 0.08 * (right - left) if self._right else right - 0.08 * (right - left), bottom - 2]
            )
            inside = product[((product >= 2) & (product < np.asarray(photo.size) - 2)).all(1)]
            if len(inside):
                end = inside[np.argmin(((inside - hole) ** 2).sum(1))]
                slack = (hole + end) / 2 + (0.0, 0.12 * float(np.abs(end - hole).max()))
                thread = [*hole.tolist(), *slack.tolist(), *end.tolist()]
                ImageDraw.Draw(photo).line(thread, _THREAD, max(1, round(min(photo.size) / 110)), joint="curve")
        shadow = self._card.getchannel("A").point(_SHADOW)
        photo.paste((20, 18, 24), (left + 1, top + max(1, photo.height // 90)), shadow)
        self.restore(photo, None)

    def restore(self, photo: Image.Image, under: Image.Image | None) -> None:
        """Lay the tag over the photo again: `under` is its box as it was, or None for the tag as it was printed."""
        photo.paste(under or self._card, self.box[:2], self._card)


@lru_cache(maxsize=32)
def _card(lines: tuple[str, ...], paper: RGB, size: Size) -> Image.Image:
    """The tag before it is turned, `_FINE` times as large as in the photo."""
    height = min(size) * _PRINT * _FINE * (1.2 if max(map(len, lines)) <= 8 else 1.0)
    font = _font(max(4.0, round(height, 1)))
    widest = max(font.getlength(line) for line in lines)
    if widest > size[0] * _WIDEST * _FINE:
        height *= size[0] * _WIDEST * _FINE / widest
        font = _font(max(4.0, round(height, 1)))
        widest = max(font.getlength(line) for line in lines)
    pad = 0.45 * height
    card = Image.new("RGBA", (round(widest + 2 * pad), round(len(lines) * 1.16 * height + 1.3 * pad)), (*paper, 255))
    draw = ImageDraw.Draw(card)
    draw.rectangle(
        (0, 0, card.width - 1, card.height - 1), outline=(140, 132, 120, 255), width=max(1, card.width // 90)
    )
    for i, line in enumerate(lines):
        draw.text((card.width / 2, 0.5 * pad + (1.16 * i + 0.56) * height), line, _INK, font, anchor="mm")
    return card


@lru_cache(maxsize=64)
def _font(height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def _turned(lines: tuple[str, ...], paper: RGB, turn: float, size: Size) -> Image.Image:
    card = _card(lines, paper, size).rotate(turn, Image.Resampling.BICUBIC, expand=True)
    card = card.reduce(_FINE)
    return card.crop((0, 0, min(card.width, size[0]), min(card.height, size[1])))
