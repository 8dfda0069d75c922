"""Photos as small as a page shows them."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import PhotoError, decode

_LONGEST = 240  # pixels of a side: a page shows photos at up to 200
_QUALITY = 85
_JPEG, _WEBP = b"\xff\xd8\xff", b"RIFF"  # how such files begin


def thumbnail(photo: bytes | None) -> bytes | None:
    """An encoded photo as JPEG or WebP, no larger than a page shows it; None for one that is damaged."""
    if photo is None:
        return None
    try:
        image = decode(photo)
    except PhotoError:
        return None
    if max(image.size) <= _LONGEST and photo.startswith((_JPEG, _WEBP)):
        return photo
    image.thumbnail((_LONGEST, _LONGEST))
    return _as_jpeg(image)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels, (3, height, width), as JPEG."""
    return _as_jpeg(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))))


def data_uri(photo: bytes) -> str:
    """A JPEG or WebP as an address that holds all of it."""
    kind = "webp" if photo.startswith(_WEBP) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(photo).decode()}"


def _as_jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
