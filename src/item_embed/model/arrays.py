"""Titles to token ids and photos to bytes, in numpy alone: what an exported model needs, without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from item_embed.errors import ModelError
from item_embed.model.folder import PROCESSOR_FILE, TOKENIZER_FILE
from item_embed.model.photos import PhotoProcessor
from item_embed.model.tokenizer import PAD, load_tokenizer


class Tokens(NamedTuple):
    """Titles as ids: `ids` (B, T) and `padding` (B, T), True where a position is padding."""

    ids: NDArray[np.int64]
    padding: NDArray[np.bool_]


class ArrayProcessor(PhotoProcessor):
    """Turns titles and photos into arrays; `ItemProcessor` puts them into tensors.

    Args:
        tokenizer: adds [CLS] and [SEP]; see `train_tokenizer`.
        image_size: height and width, pixels.
        max_title_tokens: longer titles are cut, [SEP] kept.
        background_patch_size: side of the patches of which the empty ones are left out; None where none are.

    Examples:
        >>> processor = ArrayProcessor.from_pretrained("run/model")  # doctest: +SKIP
        >>> processor.tokenize(["Red mug"]).ids.shape                # doctest: +SKIP
        (1, 4)
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        image_size: tuple[int, int],
        max_title_tokens: int,
        background_patch_size: int | None = None,
    ) -> None:
        super().__init__(image_size, background_patch_size)
        self.tokenizer = tokenizer
        self.max_title_tokens = max_title_tokens
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_title_tokens)

    @property
    def photos(self) -> PhotoProcessor:
        """What it does to photos, without the tokenizer: light enough for another process."""
        return PhotoProcessor(self.image_size, self.background_patch_size)

    def tokenize(self, titles: Sequence[str | None]) -> Tokens:
        """Titles to ids, padded to the longest of them."""
        encoded = [e.ids for e in self.tokenizer.encode_batch([title or "" for title in titles])]
        longest = max(map(len, encoded), default=2)
        ids = np.full((len(encoded), longest), PAD, np.int64)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = tokens
        return Tokens(ids, ids == PAD)

    def save_pretrained(self, path: str | Path) -> None:
        """Write the tokenizer and the settings into a model's folder."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        settings = {
            "image_size": list(self.image_size),
            "max_title_tokens": self.max_title_tokens,
            "background_patch_size": self.background_patch_size,
        }
        (folder / PROCESSOR_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf8")

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Read what `save_pretrained` wrote.

        Raises:
            ModelError: when the folder lacks it.
        """
        folder = Path(path)
        tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
        try:
            settings = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf8"))
            height, width = settings["image_size"]
            empty = settings.get("background_patch_size")  # not in folders of before this setting
            return cls(tokenizer, (height, width), settings["max_title_tokens"], empty)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / PROCESSOR_FILE} cannot be read ({error}); copy the whole model folder."
            ) from None
