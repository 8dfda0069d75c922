"""The model that reads queries: on a CPU by ONNX Runtime, which is faster than torch and needs none of its memory.

Queries must be read by what made the vectors of the index. An exported folder is used as it is. Of a folder of torch an
fp32 export, whose vectors are the same to rounding, is made once and kept, by fingerprint, where caches are.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.exported import is_exported
from item_embed.files import OutputError, locked
from item_embed.model.folder import fingerprint, is_model_folder
from item_embed.progress import Stages, silent_stages
from item_embed.search.index import ProductIndex

#: Raised when graphs change, so that none of an earlier version is taken from the cache.
CACHE_VERSION = 1


def open_encoder(
    index: ProductIndex, model: Path | None = None, device: str | None = None, stages: Stages = silent_stages
) -> Embedder:
    """The embedder that reads queries of an index.

    Args:
        index: what is searched.
        model: the model's folder, or one that `item export` made of it; by default where it was when the vectors were
            made.
        device: a device of torch; by default ONNX Runtime runs the model on the CPU, or torch where that is missing.
        stages: told of an export.

    Raises:
        VectorError: when the model is not there.
        ModelError: when it cannot be loaded.

    Examples:
        >>> embedder = open_encoder(ProductIndex.open("index"))  # doctest: +SKIP
    """
    folder = index.manifest.model_folder(model, index.path)
    if device is None and not is_exported(folder) and is_model_folder(folder) and _can_export():
        folder = _cached_export(folder, stages)
    return Embedder.from_pretrained(folder, device or "cpu")


def cache_folder() -> Path:
    """Where exports are kept: `item-embed` in the user's cache, as XDG_CACHE_HOME says."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "item-embed"


def _can_export() -> bool:
    return all(find_spec(name) for name in ("onnx", "onnxruntime"))


def _cached_export(folder: Path, stages: Stages) -> Path:
    """An export of a model, made now or earlier; the model itself where the cache cannot be written."""
    kept = cache_folder() / f"{fingerprint(folder)}-fp32-{CACHE_VERSION}"
    if is_exported(kept):
        return kept
    from item_embed.embedding.export import export_model
    from item_embed.embedding.torch_backend import TorchBackend

    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with stages("exporting the model") as on_progress, locked(kept.with_name(f"{kept.name}-making")):
            if not is_exported(kept):
                export_model(TorchBackend.from_pretrained(folder, "cpu"), kept, on_progress=on_progress)
    except (OSError, OutputError):
        return folder
    return kept
