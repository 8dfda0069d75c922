"""How a frozen model wants its photos, read from the file that lies beside its weights.

The image processors of transformers are not used: which of them work depends on torchvision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import decode
from item_embed.errors import ModelError

_WARPED_FROM = 384  # ConvNeXT's processor crops smaller photos and squeezes from this side on


@dataclass(frozen=True)
class Preprocessing:
    """Resized, cropped at the middle, normalised: as published with a model, whatever that leaves of a product.

    Attributes:
        size: height and width that photos are resized to; with one number, their short side.
        crop: height and width cut out of the middle; None where nothing is cut off.
        resample: Pillow's number of the filter.
        scale: what bytes are multiplied by.
        mean: of red, green and blue, subtracted.
        std: what they are then divided by.
    """

    size: tuple[int, ...]
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any], name: str) -> "Preprocessing":
        """From the settings of an image processor of transformers, as `preprocessor_config.json` holds them.

        Raises:
            ModelError: when they do not say to which size photos are brought.
        """
        crop = _sides(settings.get("crop_size")) if settings.get("do_center_crop") else ()
        size = _sides(settings.get("size"))
        if len(size) == 1 and "crop_pct" in settings:
            crop, size = _convnext(size[0], float(settings["crop_pct"]))
        elif len(size) == 1 and not crop:
            crop = size  # one number for both sides, or a short side to which photos of all shapes are brought
            size = size if isinstance(settings.get("size"), Mapping) else 2 * size
        if not size or settings.get("do_resize", True) is False:
            raise ModelError(f"the image processor of {name} gives no fixed size of photos; choose another model.")
        normalised = settings.get("do_normalize", True)
        return cls(
            size=size,
            crop=((crop * 2)[0], (crop * 2)[1]) if crop else None,
            resample=int(settings.get("resample", Image.Resampling.BILINEAR)),
            scale=float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
            mean=tuple(settings.get("image_mean") or (0.5,) * 3) if normalised else (0.0,) * 3,
            std=tuple(settings.get("image_std") or (0.5,) * 3) if normalised else (1.0,) * 3,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self.crop or (self.size[0], self.size[1])

    def __call__(self, photo: bytes) -> NDArray[np.float32]:
        """An encoded photo to (3, height, width).

        Raises:
            PhotoError: when it cannot be decoded.
        """
        image = decode(photo)
        if len(self.size) == 2:
            width, height = self.size[1], self.size[0]
        else:
            short, long = sorted(image.size)
            longer = int(self.size[0] * long / short)
            width, height = (self.size[0], longer) if image.width <= image.height else (longer, self.size[0])
        pixels = np.asarray(image.resize((width, height), Image.Resampling(self.resample)), np.float32)
        if self.crop:
            pixels = _middle(pixels, self.crop)
        scaled = (pixels * np.float32(self.scale) - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def _sides(size: Any) -> tuple[int, ...]:
    """(height, width), or (side,) of a number or a short side; () of what is neither."""
    if isinstance(size, int):
        return (size,)
    if isinstance(size, Mapping) and "height" in size and "width" in size:
        return int(size["height"]), int(size["width"])
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return (int(size["shortest_edge"]),)
    return ()


def _convnext(side: int, share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Crop and size of ConvNeXT's processor, of which the crop is a share."""
    return ((), (side, side)) if side >= _WARPED_FROM else ((side, side), (int(side / share),))


def _middle(pixels: NDArray[np.float32], crop: tuple[int, int]) -> NDArray[np.float32]:
    """The middle of (height, width, 3), black around it where it is smaller."""
    height, width = pixels.shape[:2]
    canvas = np.zeros((max(height, crop[0]), max(width, crop[1]), 3), np.float32)
    top, left = -(-(len(canvas) - height) // 2), -(-(canvas.shape[1] - width) // 2)
    canvas[top : top + height, left : left + width] = pixels
    top, left = (len(canvas) - crop[0]) // 2, (canvas.shape[1] - crop[1]) // 2
    return canvas[top : top + crop[0], left : left + crop[1]]
