"""A contact sheet: listings in labelled rows, each a photo above its title, to look at what was drawn."""

import io
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from item_embed.catalog.drawing.pen import RGB

_PAPER: RGB = (250, 250, 249)
_CELL: RGB = (236, 236, 234)
_INK: RGB = (34, 34, 38)
_FAINT: RGB = (112, 112, 118)
_LINES = 3  # of a title
_CUT = "…"

Listing = tuple[bytes | None, str]  # photo, title
Row = tuple[str, Sequence[Listing]]  # label, listings


def contact_sheet(rows: Sequence[Row], cell: int = 160) -> Image.Image:
    """Lay listings out in rows, one row a product say.

    Args:
        rows: for each a label and its listings, each as photo (an encoded image, or None) and title.
        cell: width and height of the place for a photo, pixels.

    Returns:
        The sheet, as wide as its longest row. Titles are wrapped, and cut after three lines.

    Examples:
        >>> contact_sheet([("P0000001", [(None, "red mug")])], cell=100).mode
        'RGB'
    """
    size, gap = max(9, round(cell / 14)), max(4, cell // 16)
    leading = round(size * 1.3)
    column, high = cell + gap, leading + cell + _LINES * leading + 2 * gap
    columns = max([1, *(len(listings) for _, listings in rows)])
    sheet = Image.new("RGB", (gap + columns * column, gap + max(1, len(rows)) * high), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (label, listings) in enumerate(rows):
        top = gap + i * high
        whole = sheet.width - 2 * gap
        draw.text((gap, top), _fitted(label, whole, size), _FAINT, _font(size))
        for j, (photo, title) in enumerate(listings):
            left, below = gap + j * column, top + leading
            draw.rectangle((left, below, left + cell - 1, below + cell - 1), _CELL)
            _lay(sheet, photo, (left, below), cell)
            for k, line in enumerate(wrapped(title, cell, size)):
                draw.text((left, below + cell + 2 + k * leading), line, _INK, _font(size))
    return sheet


def wrapped(words: str, width: int, size: int) -> list[str]:
    """At most three lines, none wider than `width` pixels; what does not fit is cut, and three dots say so."""
    lines: list[str] = []
    left = words.split()
    while left and len(lines) < _LINES:
        if len(lines) == _LINES - 1:
            lines.append(_fitted(" ".join(left), width, size))
            break
        count = len(left)
        while count > 1 and _font(size).getlength(" ".join(left[:count])) > width:
            count -= 1
        lines.append(_fitted(" ".join(left[:count]), width, size))
        left = left[count:]
    return lines


def _fitted(words: str, width: int, size: int) -> str:
    font = _font(size)
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + _CUT) > width:
        words = words[:-1]
    return words.rstrip() + _CUT


def _lay(sheet: Image.Image, photo: bytes | None, at: tuple[int, int], cell: int) -> None:
    """Put a photo, as large as fits, into the middle of its cell."""
    if photo is None:
        words = "no photo"
        width = _font(max(9, cell // 14)).getlength(words)
        middle = (at[0] + (cell - width) / 2, at[1] + cell / 2)
        ImageDraw.Draw(sheet).text(middle, words, _FAINT, _font(max(9, cell // 14)))
        return
    with Image.open(io.BytesIO(photo)) as file:
        image = file.convert("RGB")
    share = cell / max(image.size)
    image = image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))))
    sheet.paste(image, (at[0] + (cell - image.width) // 2, at[1] + (cell - image.height) // 2))


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
