from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ModelError
from item_embed.evaluation.reconstruction import Masking, evaluate_reconstruction
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import load_model
from item_embed.training.batches import PretrainingData
from item_embed.training.run import pretrain
from tests.catalogs import write_catalog
from tests.tiny import shown_patches, tiny_catalog, tiny_config, tiny_rows, white_catalog

RATES = ("objectives.token_mask_rate=0.5", "objectives.patch_mask_rate=0.5")
EPOCH = -2  # the masks of the evaluation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Catalog]:
    folder = tmp_path_factory.mktemp("reconstruction")
    catalog = tiny_catalog(folder / "catalog")
    return pretrain(catalog, folder / "run", tiny_config(*RATES)).model, catalog


def test_of_all_rows_the_position_is_not_judged_on_those_it_learnt_from(trained: tuple[Path, Catalog]) -> None:
    model, catalog = trained
    whole, held_out = (evaluate_reconstruction(model, catalog, split) for split in ("all", "validation"))
    assert (whole.rows, whole.position_only) == (held_out.rows, held_out.position_only)


@torch.no_grad()
def test_the_figures_are_those_of_plain_loops(trained: tuple[Path, Catalog]) -> None:
    model, catalog = trained
    result = evaluate_reconstruction(model, catalog, "validation")
    hidden = ("objectives.token_corruption=[1, 0, 0]", "objectives.weights.itm=0", "objectives.mismatch_rate=0")
    config = tiny_config(*RATES, *hidden)
    processor = ItemProcessor.from_pretrained(model)
    module = load_model(model, ItemForPreTraining)
    rows = catalog.rows("validation")
    batch = PretrainingData(catalog, rows, processor, config).batch(rows, np.full(len(rows), EPOCH))
    output = module(
        batch.input_ids,
        batch.pixels.float() / 127.5 - 1,
        batch.token_padding,
        batch.photo_missing,
        batch.masked_patches,
    )
    embeddings = module.item.embeddings
    right, asked = Counter[str](), 0
    commonest = _commonest_tokens(catalog, processor)
    for b, t in batch.predicted_tokens.nonzero().tolist():
        position = embeddings.title_position.weight[t]
        scores = module.heads["gmlm"](output.cls[b], position, embeddings.word.weight)
        token = int(batch.tokens[b, t])
        right["gmlm"] += int(scores.argmax()) == token
        right["position"] += commonest.get(t) == token
        asked += 1
    assert result.predictions["tokens"] == asked > 5
    assert result.model["gmlm_top1"].value == pytest.approx(right["gmlm"] / asked)
    assert result.position_only["top1"].value == pytest.approx(right["position"] / asked)

    errors: dict[str, list[float]] = {"gmim": [], "position": []}
    means = _mean_patches(catalog, processor)
    for b, p in batch.predicted_patches.nonzero().tolist():
        patch = torch.from_numpy(_patch(batch.pixels[b].numpy(), p))
        constructed = module.heads["gmim"](output.cls[b], embeddings.patch_position.weight[p])
        errors["gmim"].append(float((constructed - patch).square().mean()))
        errors["position"].append(float((torch.from_numpy(means[p]) - patch).square().mean()))
    assert result.predictions["patches"] == len(errors["gmim"]) > 5
    assert result.model["gmim_error"].value == pytest.approx(np.mean(errors["gmim"]), rel=1e-4)
    assert result.position_only["error"].value == pytest.approx(np.mean(errors["position"]), rel=1e-4)


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Catalog]:
    folder = tmp_path_factory.mktemp("dropping")
    catalog = white_catalog(folder / "catalog")
    config = tiny_config(*RATES, "objectives.patch_masking=drop", "model.background=drop")
    return pretrain(catalog, folder / "run", config).model, catalog


@torch.no_grad()
def test_background_is_neither_asked_for_nor_part_of_any_mean(dropping: tuple[Path, Catalog]) -> None:
    model, catalog = dropping
    result = evaluate_reconstruction(model, catalog, "validation")
    processor, module = ItemProcessor.from_pretrained(model), load_model(model, ItemForPreTraining)

    shown: dict[int, list[np.ndarray]] = {position: [] for position in range(8)}
    for row in catalog.rows("train"):
        if (photo := catalog.photo(int(row))) is not None:
            pixels = processor.pixels(decode(photo))
            for position in shown_patches(int(row)) or {0}:
                shown[position].append(_patch(pixels, position))

    hidden = ("objectives.token_corruption=[1, 0, 0]", "objectives.weights.itm=0", "objectives.mismatch_rate=0")
    rows = catalog.rows("validation")
    batch = PretrainingData(catalog, rows, processor, tiny_config(*RATES, *hidden, "model.background=drop")).batch(
        rows, np.full(len(rows), EPOCH)
    )
    gone = batch.masked_patches | batch.background
    output = module(batch.input_ids, batch.pixels / 127.5 - 1, batch.token_padding, batch.photo_missing, left_out=gone)
    errors: dict[str, list[float]] = {"gmim": [], "position": []}
    for b, p in batch.predicted_patches.nonzero().tolist():
        assert p in shown_patches(int(rows[b]))
        patch = torch.from_numpy(_patch(batch.pixels[b].numpy(), p))
        constructed = module.heads["gmim"](output.cls[b], module.item.embeddings.patch_position.weight[p])
        errors["gmim"].append(float((constructed - patch).square().mean()))
        errors["position"].append(float(np.square(np.mean(shown[p], axis=0) - patch.numpy()).mean()))
    assert result.predictions["patches"] == len(errors["gmim"]) > 5
    assert result.model["gmim_error"].value == pytest.approx(np.mean(errors["gmim"]), rel=1e-4)
    assert result.position_only["error"].value == pytest.approx(np.mean(errors["position"]), rel=1e-4)


def test_a_run_that_judges_whole_pairs_is_measured_in_one_pass(tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    model = pretrain(catalog, tmp_path / "run", tiny_config("objectives.itm_input=whole")).model
    masking = Masking.of(model, catalog)
    passes = []
    masking.pretraining.model.item.register_forward_hook(lambda *_: passes.append(1))
    masking.pretraining(masking.batch(catalog.rows("validation")))
    assert len(passes) == 1


def test_a_run_without_global_tasks_has_no_global_figures(tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    config = tiny_config("objectives.weights.gmlm=0", "objectives.weights.gmim=0")
    model = pretrain(catalog, tmp_path / "run", config).model
    result = evaluate_reconstruction(model, catalog, "validation")
    assert set(result.model) == {"mlm_top1", "mim_error"}
    assert set(result.as_json()["model"]) == {"mlm_top1", "mim_error"}


def test_rows_without_titles_have_no_figure_of_words(trained: tuple[Path, Catalog], tmp_path: Path) -> None:
    model, _ = trained
    rows = [replace(row, title=None) if row.split == "validation" else row for row in tiny_rows()]
    result = evaluate_reconstruction(model, write_catalog(tmp_path / "catalog", rows), "validation")
    assert set(result.model) == {"mim_error", "gmim_error"}
    assert set(result.position_only) == {"error"}


def test_an_empty_split_and_a_folder_without_a_model_are_sentences(
    trained: tuple[Path, Catalog], tmp_path: Path
) -> None:
    model, catalog = trained
    with pytest.raises(CatalogError, match="no row to measure on in its test split"):
        evaluate_reconstruction(model, catalog, "test")
    with pytest.raises(ModelError, match="give RUN/model"):
        evaluate_reconstruction(tmp_path, catalog, "validation")


def _commonest_tokens(catalog: Catalog, processor: ItemProcessor) -> dict[int, int]:
    counts: dict[int, Counter[int]] = {}
    for row in catalog.rows("train"):
        ids = processor.tokenizer.encode(catalog.titles[row] or "").ids
        for position, token in enumerate(ids[1:-1], start=1):
            counts.setdefault(position, Counter())[token] += 1
    # Of equally common ones the lowest id.
    return {position: min(c, key=lambda token: (-c[token], token)) for position, c in counts.items()}


def _mean_patches(catalog: Catalog, processor: ItemProcessor) -> list[np.ndarray]:
    photos = [photo for row in catalog.rows("train") if (photo := catalog.photo(int(row))) is not None]
    pixels = [processor.pixels(decode(photo)) for photo in photos]
    return [np.mean([_patch(p, position) for p in pixels], axis=0) for position in range(8)]


def _patch(pixels: np.ndarray, position: int) -> np.ndarray:
    """Patch `position` of a (3, 32, 16) photo in 4 x 2 patches of 8 pixels, channel first, in [-1, 1]."""
    top, left = position // 2 * 8, position % 2 * 8
    values: np.ndarray = pixels[:, top : top + 8, left : left + 8].astype(np.float32).ravel() / 127.5 - 1
    return values
