"""`item export`: a model as an ONNX graph that embeds without torch, and vectors in fewer bits.

onnx is imported in this room and nowhere else.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.embedding.exported import Exported, ExportPrecision
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError, ItemError, installing
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.config import Background
    from item_embed.embedding.torch_backend import TorchBackend


def export_model(
    trained: "TorchBackend",
    out: Path,
    *,
    modalities: Modalities = "both",
    precision: ExportPrecision = "fp32",
    background: "Background | None" = None,
    catalog: "Catalog | None" = None,
    on_progress: OnProgress = silent,
) -> Exported:
    """Write a folder from which `Embedder` embeds by ONNX Runtime alone.

    Before the folder appears, products that are drawn are embedded by both, and their vectors compared.

    Args:
        trained: the model; its folder is left as it is.
        out: the folder to write; it must not exist.
        modalities: what the exported model reads: photos and titles, or one of them alone.
        precision: what its encoder multiplies. With `fp32` the vectors are the model's to rounding, and have its
            fingerprint; with `int8` they are others, a little.
        background: whether empty patches of photos are encoded, `keep`, or not, `drop`; by default as the model was
            trained. The other way vectors are others.
        catalog: on rows of it the loss of all this is measured, beside the model as it is; no label is read.
        on_progress: told of the rows that are embedded to measure it.

    Returns:
        What the folder says of itself.

    Raises:
        ItemError: when onnx or ONNX Runtime is not installed.
        ConfigError: when `background` is given for titles alone.
        ModelError: when the model has something that cannot be exported.
        OutputError: when the folder exists or cannot be written.

    Examples:
        >>> export_model(TorchBackend.from_pretrained("run/model", "cpu"), Path("exported")).precision  # doctest: +SKIP
        'fp32'
    """
    if background is not None and modalities == "title":
        raise ConfigError("background is of photos, which a model of titles alone does not read; leave it out.")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        raise ItemError(f"exporting a model needs onnx and ONNX Runtime; {installing('onnx')}.") from None
    from item_embed.embedding.export.writing import write_export

    return write_export(
        trained,
        out,
        modalities=modalities,
        precision=precision,
        background=background,
        catalog=catalog,
        on_progress=on_progress,
    )
