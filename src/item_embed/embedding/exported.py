"""An exported model's folder: what it says of itself. Needs neither torch nor ONNX Runtime.

`model.onnx` is what runs, `export.json` says what it is; tokenizer and settings of photos are those of any model's
folder. `words.json`, of a model with late fusion, has what its vectors of words are made by.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from item_embed.embedding.loss import Loss
from item_embed.embedding.seen import Modalities
from item_embed.errors import ModelError
from item_embed.model.folder import EXPORT_FILE
from item_embed.model.words import COUNTERS, Words

ONNX_FILE = "model.onnx"
WORDS_FILE = "words.json"
WORDS = "words"  # the input of a graph that reads them
MEND = "copy the whole folder, or export the model again"
_VERSION = 1  # of `export.json`

#: What the encoder multiplies: float32, or whole numbers of 8 bits.
ExportPrecision = Literal["fp32", "int8"]


@dataclass(frozen=True)
class Exported:
    """What `export.json` says.

    Attributes:
        fingerprint: of its vectors: that of the model it was made from, where they are the same to rounding.
        source: the fingerprint of the model it was made from.
        precision: what the encoder multiplies.
        modalities: what it reads of a product.
        dimension: numbers in a vector.
        patch_size: side of a square patch, pixels.
        loss: beside the model it was made from, where that was measured.
    """

    fingerprint: str
    source: str
    precision: ExportPrecision
    modalities: Modalities
    dimension: int
    patch_size: int
    loss: Loss | None = None

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, indent=2)
        (folder / EXPORT_FILE).write_text(text + "\n", encoding="utf8")

    @classmethod
    def load(cls, folder: Path) -> "Exported":
        """Read it from a folder.

        Raises:
            ModelError: when it cannot be read, or was written by another version of item-embed.
        """
        file = folder / EXPORT_FILE
        try:
            known = json.loads(file.read_text(encoding="utf8"))
            version = known.pop("version")
            loss = known.pop("loss")
            found = cls(**known, loss=loss and Loss(**loss))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{file} cannot be read ({error}); {MEND}.") from None
        if version != _VERSION or found.precision not in get_args(ExportPrecision):
            raise ModelError(f"{file} is of another version of item-embed, or damaged; {MEND}.")
        return found


def is_exported(folder: Path) -> bool:
    """Whether a folder holds an exported model; not whether it can be read."""
    return (folder / EXPORT_FILE).is_file()


def save_words(words: Words, folder: Path) -> None:
    """Write into a folder in how many titles which words were seen, for programs in any language."""
    (seen,) = words.counts.nonzero()
    counts = {str(counter): int(words.counts[counter]) for counter in seen}
    text = json.dumps({"width": words.width, "titles": words.titles, "counts": counts})
    (folder / WORDS_FILE).write_text(text + "\n", encoding="utf8")


def load_words(folder: Path) -> Words:
    """Read what `save_words` wrote.

    Raises:
        ModelError: when it is missing or damaged.
    """
    file = folder / WORDS_FILE
    try:
        known = json.loads(file.read_text(encoding="utf8"))
        counts = np.zeros(COUNTERS, np.int32)
        for counter, titles in known["counts"].items():
            counts[int(counter)] = titles
        return Words(counts, int(known["titles"]), int(known["width"]))
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read ({error}); {MEND}.") from None
