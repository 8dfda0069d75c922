"""From a network of one modality to unit vectors, and vectors of several joined into one."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from item_embed.catalog.photos.images import PhotoError, decode
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import seen_title
from item_embed.errors import ModelError
from item_embed.model.processor import ItemProcessor, scale_pixels
from item_embed.progress import OnProgress, silent


class OneModality:
    """Embeds photos alone or titles alone; a product without one gets the zero vector.

    Args:
        sees: which of the two.
        dimension: of the vectors.
        encode: photos as `read` gives them, or cleaned titles, to features (n, dimension) of any length.
        read: what an encoded photo becomes; titles need none.
    """

    def __init__(
        self,
        sees: Literal["image", "title"],
        dimension: int,
        encode: Callable[[list[Any]], Tensor],
        read: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.sees = sees
        self.dimension = dimension
        self._encode = encode
        self._read = read

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Vectors of length 1, or 0 where there is nothing to see, (n, dimension).

        Raises:
            ModelError: naming the product whose photo cannot be read.
        """
        n = len(images if images is not None else titles or ())
        given: Sequence[bytes | str | None] | None = images if self.sees == "image" else titles
        vectors = np.zeros((n, self.dimension), np.float32)
        for start in range(0, n if given is not None else 0, batch_size):
            end = min(n, start + batch_size)
            seen = {i: value for i in range(start, end) if (value := self._seen(given, i)) is not None}
            if seen:
                with torch.inference_mode():
                    features = normalize(self._encode(list(seen.values())).float(), dim=-1)
                vectors[list(seen)] = features.cpu().numpy()
            on_progress(end, n)
        return vectors

    def _seen(self, given: Sequence[bytes | str | None] | None, product: int) -> Any:
        value = given[product] if given is not None else None
        if isinstance(value, str):
            return seen_title(value)
        if not value or self._read is None:
            return None
        try:
            return self._read(value)
        except PhotoError as error:
            raise ModelError(f"the photo of product {product} cannot be used: {error}.") from None


class Joined:
    """The unit vectors of several methods one after the other, scaled to length 1 again.

    Each method that sees something of a product has the same share in its vector; one that sees nothing has zeros.
    """

    def __init__(self, parts: Sequence[Embeds]) -> None:
        self.parts = parts

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return sum(part.dimension for part in self.parts)

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Vectors of length 1, or 0 where no part sees anything, (n, dimension)."""
        last = len(self.parts) - 1
        told = [on_progress if number == last else silent for number in range(last + 1)]
        vectors = np.concatenate(
            [part.embed(images, titles, batch_size, tell) for part, tell in zip(self.parts, told, strict=True)], axis=1
        )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def photo_vectors(
    processor: ItemProcessor, dimension: int, features: Callable[[Tensor], Tensor], device: torch.device
) -> OneModality:
    """Vectors of photos as ITEm sees them: scaled to fit, white around.

    Args:
        processor: of the model.
        dimension: of the vectors.
        features: (n, 3, height, width) in [-1, 1] to (n, dimension).
        device: where the network is.
    """

    def read(photo: bytes) -> NDArray[np.uint8]:
        return processor.pixels(decode(photo, processor.image_size))

    def encode(photos: list[NDArray[np.uint8]]) -> Tensor:
        return features(scale_pixels(torch.from_numpy(np.stack(photos)).to(device)))

    return OneModality("image", dimension, encode, read)


def title_vectors(
    processor: ItemProcessor, dimension: int, features: Callable[[Tensor, Tensor], Tensor], device: torch.device
) -> OneModality:
    """Vectors of titles as ITEm sees them.

    Args:
        processor: of the model.
        dimension: of the vectors.
        features: ids and padding, (n, T) both, True where padded, to (n, dimension).
        device: where the network is.
    """

    def encode(titles: list[str]) -> Tensor:
        tokens = processor.tokenize(titles)
        return features(torch.from_numpy(tokens.ids).to(device), torch.from_numpy(tokens.padding).to(device))

    return OneModality("title", dimension, encode)
