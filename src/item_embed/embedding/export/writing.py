"""An exported model's folder: the graph written, compared with the model, and quantised where that was asked for."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.config import Background
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export.quantising import quantise
from item_embed.embedding.export.served import WHITENING, served_model
from item_embed.embedding.exported import ONNX_FILE, WORDS, WORDS_FILE, Exported, ExportPrecision, save_words
from item_embed.embedding.loss import Loss, loss_of, spread_rows
from item_embed.embedding.onnx_backend import OnnxBackend
from item_embed.embedding.seen import Modalities
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError
from item_embed.files import whole_folder
from item_embed.model.card import CARD_FILE, add_table, copy_card
from item_embed.model.folder import PROCESSOR_FILE, PROVENANCE_FILE, TOKENIZER_FILE, digest_of
from item_embed.model.processor import ItemProcessor
from item_embed.progress import OnProgress

MOST_DIFFERENT = 1e-4  # between numbers of a vector by torch and by ONNX Runtime, in float32
_COMPARED = 16  # products that are drawn to compare the two


def write_export(
    trained: TorchBackend,
    out: Path,
    *,
    modalities: Modalities,
    precision: ExportPrecision,
    background: Background | None,
    catalog: Catalog | None,
    on_progress: OnProgress,
) -> Exported:
    """See `export_model`."""
    facts = {"fingerprint": trained.fingerprint, "modalities": modalities}
    graph = served_model(trained.model, trained.whitening, modalities, facts)
    served = trained.with_background(background or trained.background)
    exported = Exported(
        fingerprint=trained.fingerprint,
        source=trained.fingerprint,
        precision="fp32",
        modalities=modalities,
        dimension=trained.dimension,
        patch_size=trained.patch_size,
    )
    with whole_folder(out) as aside:
        onnx.save(graph, aside / ONNX_FILE)
        served.processor.save_pretrained(aside)
        if (trained.path / PROVENANCE_FILE).is_file():
            shutil.copyfile(trained.path / PROVENANCE_FILE, aside / PROVENANCE_FILE)
        copy_card(trained.path, aside)
        exported.save(aside)
        if trained.whitening is not None and trained.whitening.fusion is not None and WORDS in _inputs(graph):
            save_words(trained.whitening.fusion.words, aside)
        _compare(served, OnnxBackend.from_pretrained(aside), modalities)
        if precision == "int8":  # whitening and late fusion, under a hundredth of the work, stay in float32
            quantise(graph, aside / ONNX_FILE, exact=(WHITENING,))
        if precision == "int8" or served is not trained:  # other vectors than the model's
            exported = replace(exported, precision=precision, fingerprint=_fingerprint(aside))
            exported.save(aside)
        if catalog is not None:
            loss = _measured(trained, OnnxBackend.from_pretrained(aside), catalog, modalities, on_progress)
            exported = replace(exported, loss=loss)
            exported.save(aside)
            if loss and (aside / CARD_FILE).is_file():
                _tell(aside, exported, served.background, loss, catalog)
    return exported


def _inputs(graph: ModelProto) -> set[str]:
    return {given.name for given in graph.graph.input}


def _compare(trained: TorchBackend, exported: OnnxBackend, modalities: Modalities) -> None:
    """Embed drawn products by both.

    Raises:
        ModelError: when the vectors differ by more than rounding.
    """
    images, titles = _drawn(trained.processor, modalities)
    difference = float(np.abs(trained.encode(images, titles) - exported.encode(images, titles)).max())
    if not difference <= MOST_DIFFERENT:
        raise ModelError(
            f"the exported model would give other vectors than {trained.path}, by up to {difference:.2g}: this is a "
            "fault of item-embed, please report it with the model's config.json."
        )


def _drawn(processor: ItemProcessor, modalities: Modalities) -> tuple[list[Image.Image | None], list[str | None]]:
    """Photos of noise and titles of any words; of both sides every third product lacks the one or the other."""
    random = np.random.default_rng(0)
    vocabulary = sorted(processor.tokenizer.get_vocab())
    height, width = processor.image_size
    images: list[Image.Image | None] = []
    titles: list[str | None] = []
    for number in range(_COMPARED):
        pixels = np.full((height, width, 3), 255, np.uint8)
        pixels[: random.integers(1, height + 1)] = random.integers(0, 256, 3)  # some of it empty
        rows = random.integers(1, height + 1)
        pixels[:rows] = random.integers(0, 256, (rows, width, 3))
        words = random.choice(vocabulary, random.integers(1, processor.max_title_tokens + 1))
        lacks = number % 3 if modalities == "both" else 0
        images.append(None if modalities == "title" or lacks == 1 else Image.fromarray(pixels))
        titles.append(None if modalities == "image" or lacks == 2 else " ".join(words))
    return images, titles


def _fingerprint(folder: Path) -> str:
    """Hash of the graph, the tokenizer, the settings of photos and the words."""
    return digest_of(folder, (ONNX_FILE, TOKENIZER_FILE, PROCESSOR_FILE), WORDS_FILE)


def _measured(
    trained: TorchBackend, exported: OnnxBackend, catalog: Catalog, modalities: Modalities, on_progress: OnProgress
) -> Loss | None:
    """The loss on rows all over a catalogue; told of each row twice, since both embed it."""
    rows = spread_rows(len(catalog))

    def first(done: int, _: int | None) -> None:
        on_progress(done, 2 * len(rows))

    def then(done: int, _: int | None) -> None:
        on_progress(len(rows) + done, 2 * len(rows))

    exact = embed_catalog(Embedder(trained), catalog, modalities, rows, on_progress=first)
    found = embed_catalog(Embedder(exported), catalog, modalities, rows, on_progress=then)
    return loss_of(exact.vectors, found.vectors)


def _tell(folder: Path, exported: Exported, background: Background, loss: Loss, catalog: Catalog) -> None:
    """Write the loss into the model's card."""
    made = f"ONNX, {exported.precision}, background={background}"
    add_table(
        folder,
        f"Exported as {made}: loss on {catalog.path.resolve().name} ({catalog.fingerprint[:12]})",
        ["rows", "cosine, mean", "cosine, lowest", "same nearest row", "of the ten nearest kept"],
        [
            [
                f"{loss.rows:,}",
                f"{loss.cosine:.5f}",
                f"{loss.lowest_cosine:.5f}",
                f"{loss.same_nearest:.1%}",
                f"{loss.neighbours_kept:.1%}",
            ]
        ],
    )
