"""The alterations that robustness is measured with, each with its strengths."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from PIL import Image

from item_embed.evaluation import altered_photos as photos
from item_embed.evaluation import altered_titles as titles

Thing = TypeVar("Thing", str, Image.Image)


def _always(thing: Any) -> bool:
    return True


@dataclass(frozen=True)
class Alteration(Generic[Thing]):
    """One way of altering titles, or photos.

    Attributes:
        unit: what its strength is counted in.
        strengths: from the weakest to the strongest.
        alter: the title or photo altered, a pure function of it, the strength and a key.
        possible: whether it can alter this title or photo at all.
    """

    unit: str
    strengths: tuple[float, ...]
    alter: Callable[[Thing, float, int], Thing | None]
    possible: Callable[[Thing], bool] = _always


#: By name. Words left out are masked tokens, as far as a method that is given titles can be kept from seeing them.
TITLE_ALTERATIONS: dict[str, Alteration[str]] = {
    "cut": Alteration("first words kept", (8, 7, 6, 5, 4, 3, 2, 1, 0), titles.cut),
    "words_left_out": Alteration("share of words", (0.1, 0.3, 0.5, 0.7, 0.9), titles.drop_words),
    "reordered": Alteration("share of words", (0.5, 1.0), titles.reorder_words, titles.has_several_words),
    "misspelt": Alteration("share of letters", (0.05, 0.1, 0.2, 0.4), titles.misspell, titles.has_letters),
    "cyrillic": Alteration("share of words", (0.5, 1.0), titles.in_cyrillic, titles.has_latin_letters),
    "greek": Alteration("share of words", (0.5, 1.0), titles.in_greek, titles.has_latin_letters),
}


def photo_alterations(frame: tuple[int, int] = (224, 224), patch: int = 16) -> dict[str, Alteration[Image.Image]]:
    """The alterations of photos by name.

    Args:
        frame: height and width that the model fits photos into, so that whole patches of it are left out.
        patch: side of its patches, pixels of the frame.

    Examples:
        >>> photo_alterations((80, 64))["patches_left_out"].strengths
        (0.1, 0.3, 0.5, 0.7, 0.9)
    """
    hide = partial(photos.hide_patches, frame=frame, patch=patch)
    return {
        "cropped": Alteration("share of area cut away", (0.1, 0.25, 0.5, 0.75), photos.crop),
        "rotated": Alteration("degrees", (5, 15, 45, 90, 180), photos.rotate),
        "covered": Alteration("share of area", (0.1, 0.25, 0.5), photos.cover),
        "blurred": Alteration("standard deviation as share of short side", (0.01, 0.02, 0.05), photos.blur),
        "compressed": Alteration("100 - JPEG quality", (50, 80, 90, 95), photos.compress),
        "background": Alteration(
            "share of the way to another colour", (0.25, 0.5, 1.0), photos.recolour_background, photos.has_flat_border
        ),
        "patches_left_out": Alteration("share of patches", (0.1, 0.3, 0.5, 0.7, 0.9), hide),
    }
