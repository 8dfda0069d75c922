import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from item_embed.errors import ModelError
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.model.folder import MODEL_FILES, fingerprint
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.storage import load_model, quiet_transformers
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ItemForPreTraining, Path]:
    folder = tmp_path_factory.mktemp("storage")
    catalog, config = tiny_catalog(folder / "catalog"), tiny_config("objectives.weights.mim=0")
    processor = tiny_processor(catalog, config)
    model = tiny_model(processor, config)
    with quiet_transformers():
        model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    return model, folder / "model"


@pytest.fixture
def folder(trained: tuple[ItemForPreTraining, Path], tmp_path: Path) -> Path:
    return shutil.copytree(trained[1], tmp_path / "model")


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_weights_are_safetensors_and_nothing_is_pickled(trained: tuple[ItemForPreTraining, Path]) -> None:
    assert {file.name for file in trained[1].iterdir()} == set(MODEL_FILES)


@pytest.mark.parametrize("load", [lambda p: load_model(p, ItemModel), AutoModel.from_pretrained])
def test_the_encoder_of_a_pretraining_checkpoint_loads_as_it_was_without_a_warning(
    load: Any, trained: tuple[ItemForPreTraining, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    model, path = trained
    with warnings.catch_warnings(), quiet_transformers():
        warnings.simplefilter("error")
        encoder = load(path)
    assert isinstance(encoder, ItemModel)
    assert not encoder.training
    expected, loaded = model.item.state_dict(), encoder.state_dict()
    assert expected.keys() == loaded.keys()
    assert all(torch.equal(expected[name], loaded[name]) for name in expected)
    assert capfd.readouterr() == ("", "")


def test_the_heads_load_too(trained: tuple[ItemForPreTraining, Path]) -> None:
    model, path = trained
    loaded = load_model(path, ItemForPreTraining)
    assert list(loaded.heads) == ["itm", "mlm", "gmlm", "gmim"]
    expected = model.state_dict()
    assert all(torch.equal(expected[name], value) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("kind", ["linear", "conditioned"])
def test_a_checkpoint_of_each_global_head_loads_as_it_was(
    kind: str, trained: tuple[ItemForPreTraining, Path], folder: Path
) -> None:
    torch.manual_seed(1)
    model = ItemForPreTraining(ItemConfig(**{**trained[0].config.to_dict(), "global_head": kind}))
    with quiet_transformers():
        model.save_pretrained(folder)
    loaded = load_model(folder, ItemForPreTraining)
    assert loaded.config.global_head == kind
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(expected[name], value) for name, value in loaded.state_dict().items())
    edit_config(folder, global_head="span")
    with pytest.raises(ModelError, match=r"lacks weights \(heads\.gmim\.transform\.0"):
        load_model(folder, ItemForPreTraining)


def test_a_checkpoint_of_before_there_was_a_choice_of_global_heads_loads_as_it_was(
    trained: tuple[ItemForPreTraining, Path], folder: Path
) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("global_head") == "span"
    file.write_text(json.dumps(config))
    expected = trained[0].state_dict()
    loaded = load_model(folder, ItemForPreTraining).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(expected[name], value) for name, value in loaded.items())


def test_an_encoder_saved_alone_loads_alone(trained: tuple[ItemForPreTraining, Path], folder: Path) -> None:
    with quiet_transformers():
        trained[0].item.save_pretrained(folder)
    loaded = load_model(folder, ItemModel)
    assert torch.equal(loaded.embeddings.word.weight, trained[0].item.embeddings.word.weight)
    with pytest.raises(ModelError, match="lacks weights"):
        load_model(folder, ItemForPreTraining)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing; give RUN/model"):
        load_model(folder, ItemModel)


def test_damaged_weights_are_one_sentence(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_model(folder, ItemModel)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "3"])
def test_a_damaged_configuration_is_one_sentence(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, ItemModel)


def test_another_kind_of_model_is_refused(folder: Path) -> None:
    edit_config(folder, model_type="bert")
    with pytest.raises(ModelError, match="holds a model of type 'bert'"):
        load_model(folder, ItemModel)


def test_missing_weights_are_an_error_and_never_random(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=2)
    with pytest.raises(ModelError, match=r"lacks weights \(blocks\.1"):
        load_model(folder, ItemModel)


@pytest.mark.parametrize("changes", [{"hidden_size": 32}, {"hidden_size": "x"}, {"image_size": 5}])
def test_weights_of_another_shape_are_an_error(changes: dict[str, Any], folder: Path) -> None:
    edit_config(folder, **changes)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, ItemModel)


def test_the_fingerprint_is_of_all_that_decides_a_vector_and_of_nothing_else(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "provenance.json").write_text("{}")
    assert fingerprint(folder) == before
    seen = {before}
    for name in MODEL_FILES:
        file = folder / name
        file.write_bytes(file.read_bytes() + b" ")
        seen.add(fingerprint(folder))
    assert len(seen) == 1 + len(MODEL_FILES)
