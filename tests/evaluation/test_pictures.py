import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.evaluation import pictures
from item_embed.evaluation.pictures import constructed, shown_rows
from item_embed.evaluation.reconstruction import Masking
from item_embed.evaluation.report import Pictures
from item_embed.training.run import pretrain
from tests.tiny import SIZE, tiny_catalog, tiny_config, white_catalog

RATES = ("objectives.token_mask_rate=0.5", "objectives.patch_mask_rate=0.5")


@pytest.fixture(scope="module")
def masking(tmp_path_factory: pytest.TempPathFactory) -> Masking:
    folder = tmp_path_factory.mktemp("pictures")
    catalog = tiny_catalog(folder / "catalog")
    return Masking.of(pretrain(catalog, folder / "run", tiny_config(*RATES)).model, catalog)


@pytest.fixture(autouse=True)
def lossless(monkeypatch: pytest.MonkeyPatch) -> None:
    def png(pixels: NDArray[np.uint8]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG")
        return file.getvalue()

    monkeypatch.setattr(pictures, "encoded", png)


def patches(shown: Pictures, name: str) -> NDArray[np.uint8]:
    """(8, 3, 8, 8) the patches of a picture, row by row."""
    pixels = np.asarray(Image.open(io.BytesIO(dict(shown.photos)[name]))).transpose(2, 0, 1)
    assert pixels.shape == (3, *SIZE)
    return np.stack([pixels[:, y : y + 8, x : x + 8] for y in range(0, 32, 8) for x in (0, 8)])


def as_bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    """Constructed numbers, (C,), as a patch, (3, 8, 8)."""
    scaled = ((values.reshape(3, 8, 8).numpy() + 1) * 127.5).round().clip(0, 255)
    return np.asarray(scaled, np.uint8)


@torch.no_grad()
def test_photos_are_those_of_plain_loops(masking: Masking) -> None:
    rows = masking.catalog.rows("validation")[:3]
    batch, model = masking.batch(rows), masking.pretraining.model
    output = model(
        batch.input_ids, batch.pixels / 127.5 - 1, batch.token_padding, batch.photo_missing, batch.masked_patches
    )
    positions = model.item.embeddings.patch_position.weight
    for number, shown in enumerate(constructed(masking, rows)):
        if batch.photo_missing[number]:
            assert shown.photos == []
            continue
        assert [name for name, _ in shown.photos] == [
            "photo",
            "what is shown",
            "[CLS] alone (GMIM)",
            "own outputs (MIM)",
        ]
        true, seen = patches(shown, "photo"), patches(shown, "what is shown")
        by_cls, by_patch = patches(shown, "[CLS] alone (GMIM)"), patches(shown, "own outputs (MIM)")
        assert (
            true.reshape(4, 2, 3, 8, 8).transpose(2, 0, 3, 1, 4).reshape(3, *SIZE) == batch.pixels[number].numpy()
        ).all()
        masked = batch.masked_patches[number].tolist()
        assert sum(masked) == 4
        for p in range(8):
            assert (seen[p] == (128 if masked[p] else true[p])).all()
            made = model.heads["gmim"](output.cls[number][None], positions[p][None])[0]
            assert np.abs(by_cls[p].astype(int) - as_bytes(made)).max() <= 1
            own = as_bytes(model.heads["mim"](output.photo[number, p][None])[0]) if masked[p] else true[p]
            assert np.abs(by_patch[p].astype(int) - own).max() <= 1


@torch.no_grad()
def test_words_are_those_of_plain_loops(masking: Masking) -> None:
    rows = masking.catalog.rows("validation")
    batch, model = masking.batch(rows), masking.pretraining.model
    output = model(
        batch.input_ids, batch.pixels / 127.5 - 1, batch.token_padding, batch.photo_missing, batch.masked_patches
    )
    embeddings, tokenizer = model.item.embeddings, masking.processor.tokenizer
    for number, shown in enumerate(constructed(masking, rows)):
        if batch.title_missing[number]:
            assert shown.lines == []
            continue
        lines = dict(shown.lines)
        assert list(lines) == ["title", "[CLS] alone (GMLM)", "own output (MLM)"]
        length = int((~batch.token_padding[number]).sum())
        for place in range(1, length - 1):
            token, masked = int(batch.tokens[number, place]), bool(batch.predicted_tokens[number, place])
            where, words = embeddings.title_position.weight[place], embeddings.word.weight
            guesses = {
                "title": token,
                "[CLS] alone (GMLM)": int(model.heads["gmlm"](output.cls[number], where, words).argmax()),
                "own output (MLM)": int(model.heads["mlm"](output.title[number, place], words).argmax()),
            }
            for name, guess in guesses.items():
                text = tokenizer.id_to_token(guess if masked else token) or ""
                word = lines[name][place - 1]
                assert (word.text, word.glued) == (text.removeprefix("##"), text.startswith("##"))
                said = "hidden" if name == "title" else "right" if guess == token else "wrong"
                assert word.mark == (said if masked else "")
        assert all(len(line) == length - 2 for line in lines.values())


def test_heads_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    config = tiny_config("objectives.weights.gmlm=0", "objectives.weights.mim=0")
    masking = Masking.of(pretrain(catalog, tmp_path / "run", config).model, catalog)
    [shown] = constructed(masking, np.array([0]))
    assert [name for name, _ in shown.photos] == ["photo", "what is shown", "[CLS] alone (GMIM)"]
    assert [name for name, _ in shown.lines] == ["title", "own output (MLM)"]


def test_normalised_patches_get_the_contrast_of_true_ones_and_background_stays(tmp_path: Path) -> None:
    catalog = white_catalog(tmp_path / "catalog")
    settings = ("objectives.patch_masking=drop", "model.background=drop", "objectives.patch_target=normalized")
    masking = Masking.of(pretrain(catalog, tmp_path / "run", tiny_config(*RATES, *settings)).model, catalog)
    with torch.no_grad():  # heads that say nothing but one deviation above the patch's mean
        for name in ("gmim", "mim"):
            decoder = masking.pretraining.model.heads[name].get_submodule("decoder")
            for parameter, value in zip(decoder.parameters(), (0, 1), strict=True):
                parameter.fill_(value)
    rows = np.flatnonzero(catalog.has_photo)[:8]
    batch = masking.batch(rows)
    assert batch.masked_patches.any()
    assert batch.background.any()
    for number, shown in enumerate(constructed(masking, rows)):
        true = patches(shown, "photo")
        for name in ("[CLS] alone (GMIM)", "own outputs (MIM)"):
            made = patches(shown, name)
            for p in range(8):
                if batch.background[number, p] or (not batch.masked_patches[number, p] and name.startswith("own")):
                    assert (made[p] == true[p]).all()
                else:
                    expected = min(255.0, true[p].mean() + true[p].std(ddof=1))
                    assert np.abs(made[p] - expected).max() <= 1


def test_rows_with_a_photo_and_a_title_are_shown_first(masking: Masking) -> None:
    catalog: Catalog = masking.catalog
    whole = catalog.has_photo & np.array([title is not None for title in catalog.titles])
    rows = shown_rows(catalog, "train", 100)
    assert sorted(rows) == list(range(32))
    assert whole[rows].tolist() == sorted(whole[rows], reverse=True)
    assert shown_rows(catalog, "train", 5).tolist() == rows[:5].tolist()
    assert shown_rows(catalog, "train", 5, seed=1).tolist() != rows[:5].tolist()
    assert len(shown_rows(catalog, "test")) == 0
