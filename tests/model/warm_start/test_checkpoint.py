import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from item_embed.config import WarmStartSettings
from item_embed.errors import ModelError
from item_embed.model.warm_start.checkpoint import Checkpoint
from item_embed.model.warm_start.start import load_warm_start
from tests.model.warm_start.made import POST, photo_model, settings, text_model


def taken(name: str, folder: Path) -> None:
    model = settings(**POST) if name == "text_embeddings" else settings()
    load_warm_start(WarmStartSettings(**{name: str(folder)}), model)


def test_a_name_whose_files_are_here_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a download leaves them: the commit that a branch is at, and the files of the commit."""
    cache = tmp_path / "hub" / "models--somebody--vit"
    photo_model(cache / "snapshots" / "c0ffee")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("c0ffee")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    opened = Checkpoint.open("warm_start.blocks", "somebody/vit")
    assert (opened.kind, opened.config.num_hidden_layers) == ("vit", 2)
    assert opened.weight("layernorm.bias", 32).dtype == torch.float32
    load_warm_start(WarmStartSettings(blocks="somebody/vit", patch_embedding="somebody/vit"), settings())


@pytest.mark.parametrize("source", ["nobody/nothing", "no such/name!", "/no/such/folder"])
def test_no_such_folder_and_no_such_name_are_one_sentence(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="is no folder here, and cannot be fetched by that name") as caught:
        Checkpoint.open("warm_start.blocks", source)
    assert str(caught.value).startswith(f"warm_start.blocks: {source} is no folder")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_never_loaded(tmp_path: Path) -> None:
    photo_model(tmp_path / "vit")
    weights = tmp_path / "vit" / "model.safetensors"
    weights.rename(tmp_path / "vit" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no model\.safetensors, and pickled weights .* are never loaded; save"):
        taken("blocks", tmp_path / "vit")


def test_configurations_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    photo_model(tmp_path / "vit")
    file = tmp_path / "vit" / "config.json"
    config = json.loads(file.read_text())
    for content, sentence in (
        ("{", r"config\.json cannot be read"),
        ("[1]", r"config\.json cannot be read"),
        (json.dumps({**config, "model_type": "gpt2"}), r"a model of type 'gpt2'; weights are taken from bert, roberta"),
        (json.dumps({**config, "hidden_size": "many"}), r"is no configuration of a vit \("),
        (json.dumps({**config, "hidden_act": "gelato"}), r"has an unknown hidden_act, 'gelato'"),
    ):
        file.write_text(content)
        with pytest.raises(ModelError, match=sentence) as caught:
            taken("blocks", tmp_path / "vit")
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("warm_start.blocks")
    file.unlink()
    with pytest.raises(ModelError, match=r"vit has no config\.json; give the folder of a model of transformers"):
        taken("blocks", tmp_path / "vit")


def test_weights_that_are_missing_strange_or_of_another_shape_are_one_sentence(tmp_path: Path) -> None:
    photo_model(tmp_path / "vit")
    file = tmp_path / "vit" / "model.safetensors"
    whole = load_file(file)
    query = "encoder.layer.1.attention.attention.query.weight"
    for tensors, sentence in (
        ({name: tensor for name, tensor in whole.items() if name != query}, rf"has no weight {query}; give a whole"),
        ({**whole, query: torch.zeros(16, 32)}, rf"{query} of .* is \(16, 32\), and by .* \(32, 32\)"),
        (
            {**whole, "encoder.layer.0.layer_scale1.lambda1": torch.ones(32)},
            r"have weights that ours have no place for, as encoder\.layer\.0\.layer_scale1\.lambda1",
        ),
    ):
        save_file(tensors, file, {"format": "pt"})
        with pytest.raises(ModelError, match=sentence) as caught:
            taken("blocks", tmp_path / "vit")
        assert str(caught.value).startswith("warm_start.blocks")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged \("):
        taken("blocks", tmp_path / "vit")


@pytest.mark.parametrize(
    "content", ["{", '{"image_mean": [0.5]}', '{"image_std": [0, 1, 1]}', '{"image_mean": "grey"}', "3"]
)
def test_settings_of_photos_that_cannot_be_used_are_one_sentence(content: str, tmp_path: Path) -> None:
    photo_model(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(content)
    with pytest.raises(ModelError, match=r"warm_start\.patch_embedding: .*preprocessor_config\.json cannot be used"):
        taken("patch_embedding", tmp_path / "vit")


def test_grey_photos_do_not_fit(tmp_path: Path) -> None:
    photo_model(tmp_path / "vit", num_channels=1)
    with pytest.raises(Exception, match="whose photos have 1 channels, and ours have 3"):
        taken("patch_embedding", tmp_path / "vit")


def test_text_embeddings_need_a_tokenizer_that_belongs_to_them(tmp_path: Path) -> None:
    text_model(tmp_path / "bert", vocab_size=20)
    with pytest.raises(ModelError, match=r"numbers tokens up to 32, and there are 20 embeddings"):
        taken("text_embeddings", tmp_path / "bert")
    (tmp_path / "bert" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"warm_start\.text_embeddings: .*bert has no tokenizer\.json; save its"):
        taken("text_embeddings", tmp_path / "bert")
