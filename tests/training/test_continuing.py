import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError, ModelError
from item_embed.model.folder import MODEL_FILES, TOKENIZER_FILE, fingerprint, provenance
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import load_model
from item_embed.model.tokenizer import UNK, load_tokenizer
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from item_embed.training.continuing import continued_config
from item_embed.training.initial import initial_model
from item_embed.training.run import RunSummary, pretrain
from tests.catalogs import write_catalog
from tests.tiny import tiny_catalog, tiny_config, tiny_rows
from tests.training.runs import StoppedError, records, train, weights

#: The model of these tests has dropout, masked tasks but for GMIM, and few steps behind it.
SETTINGS = ("model.dropout=0.1", "objectives.weights.gmim=0", "training.steps=3", "augmentation.mirror=0.5")
WORD = "item.embeddings.word.weight"

#: New words are added where there is room.
ROOM = "model.vocab_size=500"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("continuing") / "catalog")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Another shop: new words, one of them of new letters."""
    rows = [replace(row, title=row.title and f"{row.title} Hoodie Жук {i % 3}") for i, row in enumerate(tiny_rows())]
    return write_catalog(tmp_path_factory.mktemp("other") / "catalog", rows)


@pytest.fixture(scope="module")
def trained(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(catalog, tmp_path_factory.mktemp("trained") / "run", *SETTINGS).model


def go_on(catalog: Catalog, run: Path, model: Path, *settings: str, stop_at: int = 0, **more: Any) -> RunSummary:
    """Begin a run with a model; `stop_at` stops it from outside once that step is done."""

    def on_progress(done: int, total: int | None) -> None:
        if done == stop_at:
            raise StoppedError

    config = continued_config(model, settings=settings)
    return pretrain(catalog, run, config, continue_from=model, on_progress=on_progress, **more)


def begun(catalog: Catalog, run: Path, model: Path, *settings: str) -> dict[str, Tensor]:
    """The weights of a run before its first step."""
    with pytest.raises(StoppedError):
        go_on(catalog, run, model, *settings, stop_at=1)
    tokenizer = load_tokenizer(run / "tokenizer" / TOKENIZER_FILE)
    config = RunConfig.load(run / "config.yaml")
    return dict(initial_model(run, config, tokenizer).model.state_dict())


def state(model: Path) -> dict[str, Tensor]:
    return dict(load_model(model, ItemForPreTraining).state_dict())


def edited(model: Path, copy: Path, file: str, **changes: Any) -> Path:
    """A copy of a model with other entries in one of its JSON files; None takes one out."""
    shutil.copytree(model, copy)
    content = json.loads((copy / file).read_text()) | changes
    (copy / file).write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return copy


def test_settings_are_those_of_the_models_run(trained: Path) -> None:
    own = tiny_config(*SETTINGS)
    assert load_tokenizer(trained / TOKENIZER_FILE).get_vocab_size() == own.model.vocab_size
    assert continued_config(trained) == own
    changed = continued_config(trained, settings=["training.steps=9", "objectives.weights.mim=3", "model.dropout=0"])
    assert (changed.training.steps, changed.objectives.weights.mim, changed.model.dropout) == (9, 3, 0)
    assert (changed.training.batch_size, changed.objectives.weights.gmim) == (8, 0)


def test_headings_of_a_file_come_before_those_of_the_models_run_but_for_the_architecture(
    trained: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {hidden_size: 48, num_attention_heads: 3}\ntraining: {steps: 70, warmup_steps: 7}\n")
    config, own = continued_config(trained, file, ["training.seed=4"]), tiny_config(*SETTINGS)
    assert config.model.hidden_size == own.model.hidden_size
    assert (config.training.steps, config.training.seed, config.training.batch_size) == (70, 4, 512)
    assert (config.objectives, config.augmentation) == (own.objectives, own.augmentation)
    file.write_text("objectives: {weights: {itm: 0}}\n")
    config = continued_config(trained, file)
    assert config.objectives == RunConfig.load(file).objectives
    assert config.training == own.training


def test_a_setting_may_mend_what_a_file_asks_of_a_smaller_model(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "wide.yaml"
    file.write_text("whitening: {power: 0.5, late_fusion: true, dimensions: 256}")
    with pytest.raises(ConfigError, match=r"going on from .*: whitening.dimensions 256 is more than the"):
        continued_config(trained, file)
    mended = continued_config(trained, file, ["whitening.dimensions=20"])
    assert (mended.whitening.late_fusion, mended.whitening.dimensions) == (True, 20)


def test_a_model_that_does_not_tell_its_settings_needs_a_configuration(trained: Path, tmp_path: Path) -> None:
    silent = edited(trained, tmp_path / "silent", "provenance.json", config=None)
    of_another_version = edited(trained, tmp_path / "other", "provenance.json", config={"model": {"wings": 2}})
    for model in (silent, of_another_version):
        with pytest.raises(ConfigError, match=r"does not tell the settings of its run .*; give --config"):
            continued_config(model)
        config = continued_config(model, "tiny")
        assert config.training == RunConfig.load("tiny").training
        assert config.model.hidden_size == 16


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.hidden_size=32", "model.hidden_size=32 does not fit .*, where it is 16: leave it out"),
        ("model.num_hidden_layers=2", "model.num_hidden_layers=2 does not fit"),
        ("model.num_attention_heads=4", "model.num_attention_heads=4 does not fit"),
        ("model.intermediate_size=64", "model.intermediate_size=64 does not fit"),
        ("model.patch_size=4", "model.patch_size=4 does not fit"),
        ("model.max_title_tokens=9", "model.max_title_tokens=9 does not fit"),
        ("model.patch_embedding=convolutional", "model.patch_embedding=convolutional does not fit .* it is linear"),
        ("model.norm_position=post", "model.norm_position=post does not fit"),
        ("model.vocab_size=64", r"model.vocab_size=64 is too small for the \d+ words of .*, which are all kept"),
        ("warm_start.blocks=bert", "warm_start and --from both name weights to begin with"),
        ("model.image_size=[30,16]", r"going on from .*: model: image_size \(30, 16\) is not a multiple"),
        ("training.stepz=3", "going on from .*: there is no setting training.stepz"),
    ],
)
def test_a_setting_that_does_not_fit_the_model_is_one_sentence(setting: str, sentence: str, trained: Path) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        continued_config(trained, settings=[setting])
    assert "\n" not in str(caught.value)


def test_a_configuration_of_another_architecture_begins_nothing(
    catalog: Catalog, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"model\.hidden_size=32 does not fit"):
        pretrain(catalog, tmp_path / "run", tiny_config("model.hidden_size=32"), continue_from=trained)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [*MODEL_FILES])
def test_a_folder_that_lacks_a_file_is_one_sentence(name: str, trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    (model / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing; give RUN/model"):
        continued_config(model)
    with pytest.raises(ModelError, match=r"config\.json is missing; give RUN/model"):
        continued_config(trained.parent)


def test_a_damaged_model_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    (model / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be loaded"):
        continued_config(model)
    shutil.copy(trained / "model.safetensors", model)
    tokenizer = json.loads((model / TOKENIZER_FILE).read_text())
    tokenizer["model"]["vocab"]["another"] = len(tokenizer["model"]["vocab"])
    (model / TOKENIZER_FILE).write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"words in its tokenizer and .* in its weights; copy the whole model folder"):
        continued_config(model)


def test_a_baseline_is_refused(trained: Path, tmp_path: Path) -> None:
    model = edited(trained, tmp_path / "model", "provenance.json", learner="supervised")
    with pytest.raises(ModelError, match="holds supervised, a baseline of `item compare`"):
        continued_config(model)


def test_without_new_words_all_weights_are_the_models_and_so_are_the_losses(
    catalog: Catalog, trained: Path, tmp_path: Path
) -> None:
    first, known = begun(catalog, tmp_path / "run", trained, "model.dropout=0"), state(trained)
    assert first.keys() == known.keys()
    assert all(torch.equal(first[name], known[name]) for name in known)

    config = RunConfig.load(tmp_path / "run" / "config.yaml")
    data = PretrainingData(catalog, catalog.rows("train"), ItemProcessor.from_pretrained(trained), config)
    with torch.no_grad():
        losses = Pretraining(load_model(trained, ItemForPreTraining), config.objectives)(data[0][0]).losses
    logged = records(tmp_path / "run", "train")[0]["losses"]
    assert logged == pytest.approx({name: float(loss.total) / loss.count for name, loss in losses.items()}, rel=1e-6)


def test_old_words_keep_their_ids_and_new_ones_begin_as_the_mean_of_their_pieces(
    other: Catalog, trained: Path, tmp_path: Path
) -> None:
    first, known = begun(other, tmp_path / "run", trained, ROOM), state(trained)
    old, new = load_tokenizer(trained / TOKENIZER_FILE), load_tokenizer(tmp_path / "run" / "tokenizer" / TOKENIZER_FILE)
    assert {piece: new.token_to_id(piece) for piece in old.get_vocab()} == old.get_vocab()
    assert new.encode("hoodie").tokens == ["[CLS]", "hoodie", "[SEP]"]
    assert UNK not in new.encode("Жук").ids
    size, table = old.get_vocab_size(), known[WORD].numpy()
    assert len(first[WORD]) == new.get_vocab_size() > size
    assert torch.equal(first[WORD][:size], known[WORD])
    word, letter = new.token_to_id("hoodie"), new.token_to_id("ж")
    pieces = old.encode("hoodie", add_special_tokens=False).ids
    assert len(pieces) > 1
    assert UNK not in pieces
    mean = np.zeros(16)
    for piece in pieces:
        mean += table[piece] / len(pieces)
    np.testing.assert_allclose(first[WORD][word].numpy(), mean, atol=1e-7)
    apart = first[WORD][letter].numpy() - table.mean(axis=0)
    assert 0 < np.abs(apart).max() < 0.05  # as drawn: two standard deviations of 0.02
    for head in ("heads.mlm.decoder.bias", "heads.gmlm.decoder.bias"):
        assert torch.equal(first[head][:size], known[head])
        assert float(first[head][word]) == pytest.approx(float(known[head][pieces].mean()), abs=1e-7)
        assert float(first[head][letter]) == pytest.approx(float(known[head].mean()), abs=1e-7)
    assert all(torch.equal(first[name], known[name]) for name in known if len(known[name]) != size)


def test_without_room_letters_are_new_and_words_are_not(other: Catalog, trained: Path, tmp_path: Path) -> None:
    said: list[str] = []
    summary = go_on(other, tmp_path / "run", trained, on_remark=said.append)
    new = load_tokenizer(tmp_path / "run" / "tokenizer" / TOKENIZER_FILE)
    assert UNK not in new.encode("Жук").ids
    assert len(new.encode("hoodie").ids) > 3
    assert (summary.beginning["from"]["new_letters"], summary.beginning["from"]["new_words"]) == (3, 0)
    assert said[0].endswith("; new: 3 letters")


def test_a_model_of_fewer_words_than_a_configuration_allows_is_gone_on_from(tmp_path: Path) -> None:
    rows = [replace(row, title="mug") for row in tiny_rows()]
    catalog = write_catalog(tmp_path / "catalog", rows)
    model = train(catalog, tmp_path / "run", "training.steps=3").model
    assert load_tokenizer(model / TOKENIZER_FILE).get_vocab_size() < 64
    assert go_on(catalog, tmp_path / "second", model).beginning["from"]["new_words"] == 0


def test_heads_of_both_are_taken_and_others_are_drawn_from_the_seed(
    catalog: Catalog, trained: Path, tmp_path: Path
) -> None:
    tasks = "objectives.weights={itm: 0, mlm: 1, mim: 1, gmlm: 1, gmim: 1}"
    settings = (tasks, "objectives.global_head=conditioned", "objectives.patch_masking=drop", "training.seed=3")
    summary = go_on(catalog, tmp_path / "run", trained, *settings)
    assert summary.beginning["from"]["heads"] == ["mlm"]
    assert summary.beginning["from"]["new_heads"] == ["mim", "gmlm", "gmim"]
    first, known = begun(catalog, tmp_path / "again", trained, *settings), state(trained)
    assert not any(name.startswith("heads.itm") for name in first)
    assert torch.equal(first["heads.mlm.transform.0.weight"], known["heads.mlm.transform.0.weight"])
    assert first["heads.mim.decoder.weight"].shape == known["heads.mim.decoder.weight"].shape
    assert not torch.equal(first["heads.mim.decoder.weight"], known["heads.mim.decoder.weight"])
    another = begun(catalog, tmp_path / "seed", trained, *settings[:3], "training.seed=4")
    assert not torch.equal(first["heads.mim.decoder.weight"], another["heads.mim.decoder.weight"])


def test_photos_of_another_size_have_the_models_positions_interpolated(
    catalog: Catalog, trained: Path, tmp_path: Path
) -> None:
    summary = go_on(catalog, tmp_path / "run", trained, "model.image_size=[48,32]", "training.steps=3")
    source = load_model(trained, ItemForPreTraining)
    first = begun(catalog, tmp_path / "again", trained, "model.image_size=[48,32]")
    expected = source.item.embeddings.patch_positions((6, 4)).detach()
    assert torch.equal(first["item.embeddings.patch_position.weight"], expected)
    assert summary.beginning["from"]["new_patch_grid"] == [6, 4]
    assert ItemProcessor.from_pretrained(summary.model).image_size == (48, 32)


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_stopped_run_goes_on_bit_for_bit_when_the_model_is_gone(
    stop_at: int, other: Catalog, trained: Path, tmp_path: Path
) -> None:
    settings = ("training.steps=5", "training.checkpoint_every=2", "objectives.weights.gmim=1", ROOM)
    whole = go_on(other, tmp_path / "whole", trained, *settings)
    model = shutil.copytree(trained, tmp_path / "model")
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        go_on(other, run, model, *settings, stop_at=stop_at)
    if stop_at == 1:  # killed before the tokenizer was there
        shutil.rmtree(run / "tokenizer")
    shutil.rmtree(model)
    summary = pretrain(other, run, RunConfig.load(run / "config.yaml"), resume=True)
    assert records(run) == records(tmp_path / "whole")
    assert weights(run) == weights(tmp_path / "whole")
    origins = [one.beginning["from"] for one in (whole, summary)]
    assert origins[0] == origins[1] | {"model": str(trained)}
    assert provenance(summary.model)["from"] == summary.beginning["from"]


def test_a_run_is_resumed_with_the_model_that_it_began_with_or_without_naming_it(
    catalog: Catalog, trained: Path, tmp_path: Path
) -> None:
    go_on(catalog, tmp_path / "run", trained, "training.steps=3")
    go_on(catalog, tmp_path / "run", trained, "training.steps=3", resume=True)
    another = train(catalog, tmp_path / "another", *SETTINGS, "training.seed=1").model
    for run, model in (("run", another), ("another", trained)):
        config = RunConfig.load(tmp_path / run / "config.yaml")
        with pytest.raises(ConfigError, match=f"was not begun with {model}; resume it without --from"):
            pretrain(catalog, tmp_path / run, config, continue_from=model, resume=True)


def test_where_a_model_comes_from_is_told_and_written_down(
    catalog: Catalog, other: Catalog, trained: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    second = go_on(other, tmp_path / "second", trained, "objectives.weights.gmim=1", ROOM, on_remark=said.append)
    (remark,) = said
    assert remark.startswith(f"taken from {trained}: the encoder, the head of itm, the head of mlm")
    assert "words (hoodie, " in remark
    assert "letters" in remark
    assert "the head of gmim" in remark.partition("; new: ")[2]
    origin = json.loads((tmp_path / "second" / "run.json").read_text())["from"]
    assert origin == {
        "model": str(trained),
        "fingerprint": fingerprint(trained),
        "catalog": str(catalog.path),
        "catalog_fingerprint": catalog.fingerprint,
        "excluded_rows": 0,
        "samples": 24,
    }
    assert second.beginning["from"].items() >= origin.items()
    assert provenance(second.model)["from"] == second.beginning["from"]
    assert provenance(second.model)["catalog_fingerprint"] == other.fingerprint
    third = go_on(catalog, tmp_path / "third", second.model, on_remark=said.append)
    assert said[1].endswith("; new: nothing")
    assert third.beginning["from"]["from"] == second.beginning["from"]
    vectors = Embedder.from_pretrained(third.model).embed(
        titles=["Жук hoodie", None], images=[None, tiny_rows()[0].image]
    )
    assert np.isfinite(vectors).all()


def test_a_run_from_nothing_has_nothing_of_this(trained: Path) -> None:
    assert not (trained.parent / "from").exists()
    assert "from" not in json.loads((trained.parent / "run.json").read_text())
    assert "from" not in provenance(trained)
