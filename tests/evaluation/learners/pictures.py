"""Photos of any size."""

import io

import numpy as np
from PIL import Image


def png(height: int = 32, width: int = 32, *, image: Image.Image | None = None) -> bytes:
    """A lossless file of an image, or of a pattern of some size, in pixels."""
    y, x, c = np.ogrid[:height, :width, :3]
    shown = image or Image.fromarray(((3 * y + 5 * x + y * x * (c + 1) // 7 + 60 * c) % 256).astype(np.uint8))
    file = io.BytesIO()
    shown.save(file, "PNG")
    return file.getvalue()
