"""What the model sees of a product that a request describes."""

from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from item_embed.catalog.photos.images import LargePhotoError, PhotoError, decode, prepare_photo
from item_embed.embedding.seen import seen_title
from item_embed.explain.explanation import Seen
from item_embed.serving.limits import RefusedError


class Described(NamedTuple):
    """A product as a request describes it: an encoded photo and a title; each may lack."""

    photo: bytes | None
    title: str | None


@dataclass(frozen=True)
class Reader:
    """Decodes photos as `item prepare` and `item embed` do one after the other, and cleans titles.

    So a photo of the catalogue gets the vector that the index has.

    Args:
        sees: what can be looked for: `image`, `title`.
        image_size: height and width of the photo as the model sees it, pixels.
        pixels: larger photos are refused by their header.
    """

    sees: frozenset[str]
    image_size: tuple[int, int]
    pixels: int

    def __call__(self, described: Described) -> Seen:
        """Decode and clean.

        Raises:
            RefusedError: 413 for too many pixels; 422 for a photo that cannot be used, a side that cannot be looked
                for, or nothing to look for.
        """
        title = seen_title(described.title)
        for sight, given, name, other in (
            ("image", described.photo, "photo", "title"),
            ("title", title, "title", "photo"),
        ):
            if given and sight not in self.sees:
                raise RefusedError(
                    422, f"what is served here was made from {other}s alone; give a {other} and no {name}."
                )
        if not described.photo and title is None:
            lacks = "the title has no letter or digit" if described.title else "there is neither an image nor a title"
            raise RefusedError(422, f"{lacks}; give an image, a title of words, or both.")
        return Seen(self._photo(described.photo) if described.photo else None, title)

    def _photo(self, data: bytes) -> Image.Image:
        try:
            return decode(prepare_photo(data, self.pixels).data, self.image_size)
        except LargePhotoError as error:
            raise RefusedError(413, f"image: {error}; send a smaller one.") from None
        except PhotoError as error:
            raise RefusedError(422, f"image: {error}; send a JPEG, PNG, WebP, GIF, BMP or TIFF file.") from None
