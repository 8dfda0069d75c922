"""Photos: decoding that no file can harm, and the form in which a catalogue keeps them.

A photo that cannot be used raises `PhotoError`; its message is the reason and costs one photo, never the run.
"""

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from item_embed.errors import ItemError
from item_embed.hashing import text_hash

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
)  # JPEG includes MPO, several pictures of which the first counts
SHORT_SIDE = 256  # pixels; larger photos are scaled down to it, smaller ones never enlarged
SMALLEST_SIDE = 8  # pixels; less is a tracking pixel or a spacer
MOST_PIXELS = 64_000_000  # checked in the header, before anything is decoded
LONGEST_SIDE = 8192  # pixels, once the short side fits; a strip beyond 32:1 is no product photo
_MOST_OVERHEAD = 1 << 16  # bytes of metadata beyond the raw pixels that a photo kept as it is may carry
_ORIENTATION = 0x0112
_WHOLE = (-1, -1)  # a key of `Image.info` that no file can set


class PhotoError(ItemError):
    """A photo cannot be used; the message is the reason."""


class LargePhotoError(PhotoError):
    """A photo has more pixels than are decoded."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as a catalogue keeps it.

    Attributes:
        data: JPEG or WebP, short side at most `SHORT_SIDE`.
        size: width and height of the photo as it came, upright, pixels.
        pixels: a hash of size and RGB values, equal for pixel-identical photos.
        repairs: the names of what was converted.
    """

    data: bytes
    size: tuple[int, int]
    pixels: int
    repairs: tuple[str, ...] = ()


def decode(data: bytes, fit: tuple[int, int] | None = None) -> Image.Image:
    """Decode a photo into an upright RGB image.

    Args:
        data: a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        fit: height and width of the frame that the photo will be scaled to fit into. A JPEG is then decoded at 1/2,
            1/4 or 1/8 of its size, as long as it still fills the frame, which takes a fraction of the time; its
            pixels differ slightly from those of the full size scaled down.

    Returns:
        The first frame, white behind transparency; of its full size, where `fit` does not say otherwise.

    Raises:
        PhotoError: when the bytes are no such file, are damaged, too small or too large.
    """
    image = _open(data)
    if fit is None:
        return upright_rgb(image)
    turned = _orientation(image) >= 5  # the file holds it on its side
    size = image.size
    upright, _ = _upright_rgb(image, _enough(size, fit[::-1] if turned else fit))
    if image.size != size:  # it was decoded smaller
        upright.info[_WHOLE] = size[::-1] if turned else size
    return upright


def whole_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the whole photo, of which `decode` may have made a smaller image, its sides rounded up."""
    width, height = image.info.get(_WHOLE, image.size)
    return width, height


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened image of any mode, turned as its EXIF says, in RGB with white behind transparency.

    Raises:
        PhotoError: when its pixels cannot be decoded.
    """
    upright, _ = _upright_rgb(image)
    return upright


def prepare_photo(data: bytes, most_pixels: int = MOST_PIXELS) -> Photo:
    """Check a photo and bring it into the catalogue's form.

    A small JPEG or WebP that needs no conversion keeps its bytes; all others are scaled and encoded as JPEG.

    Args:
        data: a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        most_pixels: larger ones are refused by their header.

    Raises:
        PhotoError: when the bytes are no such file, are damaged, too small or too large.

    Examples:
        >>> prepare_photo(Path("cmyk.jpg").read_bytes()).repairs  # doctest: +SKIP
        ('converted from CMYK',)
    """
    image = _open(data, most_pixels)
    width, height = image.size
    scale = SHORT_SIDE / min(width, height)
    fits = scale >= 1
    kept_format = image.format in {"JPEG", "WEBP"} and image.mode in {"RGB", "L"}
    size = (width, height) if fits else (max(round(width * scale), SHORT_SIDE), max(round(height * scale), SHORT_SIDE))
    if max(size) > LONGEST_SIDE:
        raise PhotoError("too long for its width")
    # JPEG decodes straight to 1/2, 1/4 or 1/8; twice the target leaves Lanczos enough to work with.
    upright, repairs = _upright_rgb(image, None if fits else (2 * size[0], 2 * size[1]))
    turned = (upright.width < upright.height) != (width < height)
    if not fits:
        upright = upright.resize(size[::-1] if turned else size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    small = len(data) <= 3 * width * height + _MOST_OVERHEAD
    kept = data if fits and kept_format and small and not repairs else _jpeg(upright)
    return Photo(kept, (height, width) if turned else (width, height), _pixels(upright), repairs)


def _open(data: bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """Read the header and refuse what must not be decoded."""
    if not data:
        raise PhotoError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(most_pixels) from None
    except Exception:  # Pillow's plugins raise many kinds of error on files made to confuse them
        raise PhotoError("not a readable image") from None
    if image.width * image.height > most_pixels:
        raise _too_large(most_pixels)
    if min(image.size) < SMALLEST_SIDE:
        raise PhotoError(f"smaller than {SMALLEST_SIDE} pixels")
    return image


def _upright_rgb(image: Image.Image, enough: tuple[int, int] | None = None) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode, at a size of at least `enough`, and name what was converted."""
    repairs = []
    try:
        several = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"  # an MPO's other pictures are previews
        deep = image.format in {"PNG", "TIFF"} and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        orientation = _orientation(image)
        if enough:
            image.draft(None, enough)
        image.load()
        if several:
            repairs.append("several frames, the first taken")
        if orientation != 1:
            image = ImageOps.exif_transpose(image)
            repairs.append("turned as its EXIF says")
        image, converted = _rgb(image, deep)
    except Exception as error:  # as above: anything may come out of a file made to confuse
        raise PhotoError("truncated file" if "truncated" in str(error) else "damaged file") from None
    return image, (*repairs, *converted)


def _enough(size: tuple[int, int], fit: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a photo of `size`, width and height, scaled down to fit a frame, height and width."""
    scale = min(1.0, fit[0] / size[1], fit[1] / size[0])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _orientation(image: Image.Image) -> int:
    try:
        value: Any = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a photo with unreadable EXIF is still a photo
        return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _rgb(image: Image.Image, deep: bool) -> tuple[Image.Image, list[str]]:
    """Convert any mode to RGB, white behind transparency, and name what was done."""
    repairs = ["converted from 16-bit"] if deep else []
    if image.mode.startswith("I") or image.mode == "F":
        repairs = ["converted from 16-bit" if image.mode.startswith("I;16") else "converted from 32-bit"]
        image = _eight_bit(image)
    elif image.mode not in {"RGB", "RGBA", "L", "LA"}:
        name = "palette" if image.mode in {"P", "PA"} else image.mode
        repairs.append(f"converted from {'black and white' if name == '1' else name}")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB"), repairs
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() != (255, 255):
        white = Image.new("RGB", layered.size, "white")
        white.paste(layered, mask=alpha)
        return white, [*repairs, "transparent, white put behind"]
    return layered.convert("RGB"), repairs


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values / 257).round().astype(np.uint8))
    low, high = values.min(), values.max()  # 32-bit files keep to no fixed range
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, comment=b"")  # the original's comment would be copied
    return buffer.getvalue()


def _pixels(image: Image.Image) -> int:
    return text_hash(struct.pack("<II", *image.size) + image.tobytes())


def _too_large(most_pixels: int) -> LargePhotoError:
    return LargePhotoError(f"more than {most_pixels / 1_000_000:g} megapixels")
