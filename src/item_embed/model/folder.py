"""A model's folder: its files, how it came to be, and the fingerprint of what decides a vector. Needs no torch."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from item_embed.errors import VectorError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
PROCESSOR_FILE = "processor_config.json"
WHITENING_FILE = "whitening.safetensors"
PROVENANCE_FILE = "provenance.json"
EXPORT_FILE = "export.json"  # of a model that was exported, which has no weights of torch's
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, PROCESSOR_FILE)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder has all files of a model; not whether they can be read."""
    return all((folder / name).is_file() for name in MODEL_FILES)


def find_model(given: Path | None, known: Path, which: str) -> Path:
    """The folder of a model that something was made with: the one that the user names, or where it was then.

    Args:
        given: what `--model` names, if anything.
        known: where the model was.
        which: the model, as "the model that the classifier learnt from".

    Raises:
        VectorError: when it is not there.

    Examples:
        >>> find_model(None, Path("run/model"), "the model of the index")  # doctest: +SKIP
        PosixPath('run/model')
    """
    folder = given or known
    if not folder.exists():
        mend = "check --model" if given else "name its folder with --model"
        raise VectorError(f"{which} is not at {folder}; {mend}.")
    return folder


def provenance(folder: Path) -> dict[str, Any]:
    """How a model came to be, as its run wrote it beside the weights: catalogue, rows, samples, configuration.

    Returns:
        The content of `provenance.json`, or {} where a folder has none.
    """
    try:
        found = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint(folder: Path) -> str:
    """SHA-256 over weights, configuration, tokenizer, image settings and whitening: what decides a vector.

    Vectors are comparable only where fingerprints are equal.
    """
    return digest_of(folder, MODEL_FILES, WHITENING_FILE)


def digest_of(folder: Path, files: Sequence[str], maybe: str) -> str:
    """SHA-256 over files of a folder in their order, and over one more where it is there."""
    digest = hashlib.sha256()
    for name in (*files, maybe) if (folder / maybe).is_file() else files:
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
