"""Runs that begin with weights of BERT, RoBERTa or ViT."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError, ItemError
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.storage import load_model
from item_embed.model.tokenizer import load_tokenizer
from item_embed.training.continuing import continued_config
from item_embed.training.run import pretrain
from tests.model.warm_start.made import SIZES, photo_model, text_model
from tests.tiny import tiny_catalog, tiny_config
from tests.training.runs import StoppedError, records, train, weights

SHAPE = tuple(f"model.{name}={value}" for name, value in SIZES.items())
KEPT = "training.learning_rate=1e-30"  # weights stay what they were


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("warm") / "catalog")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    text_model(folder / "bert")
    text_model(folder / "roberta", "roberta")
    photo_model(folder / "vit")
    return folder


def from_bert(made: Path) -> tuple[str, ...]:
    return (
        *SHAPE,
        "model.norm_position=post",
        "model.vocab_size=30000",
        f"warm_start.blocks={made / 'bert'}",
        f"warm_start.text_embeddings={made / 'bert'}",
        f"warm_start.patch_embedding={made / 'vit'}",
    )


def test_a_run_begins_with_what_was_taken_and_says_so(catalog: Catalog, made: Path, tmp_path: Path) -> None:
    remarks: list[str] = []
    config = tiny_config(*from_bert(made), KEPT)
    summary = pretrain(catalog, tmp_path / "run", config, on_remark=remarks.append)
    assert remarks == [
        f"blocks from {made / 'bert'} (bert): 2 blocks",
        f"text_embeddings from {made / 'bert'} (bert): its vocabulary, 8 of 20 positions, the type of titles, "
        "the norm of embeddings",
        f"patch_embedding from {made / 'vit'} (vit): patches of 8 pixels, positions of 4 x 4 interpolated to 4 x 2",
        "new: embeddings.patch_mask, heads.itm, heads.mlm, heads.mim, heads.gmlm, heads.gmim",
    ]
    provenance = json.loads((summary.model / "provenance.json").read_text())
    assert provenance["warm_start"] == summary.beginning["warm_start"]
    assert provenance["warm_start"]["new"][0] == "embeddings.patch_mask"
    begun = json.loads((tmp_path / "run" / "run.json").read_text())
    assert begun["warm_start"]["taken"] == provenance["warm_start"]["taken"]
    assert RunConfig.load(tmp_path / "run" / "config.yaml") == config

    model = load_model(summary.model, ItemForPreTraining)
    assert (model.config.norm_position, model.config.layer_norm_eps, model.config.vocab_size) == ("post", 0.03, 33)
    theirs = Tokenizer.from_file(str(made / "bert" / "tokenizer.json")).encode("Golden mug, model 3").tokens
    ours = load_tokenizer(tmp_path / "run" / "tokenizer" / "tokenizer.json").encode("Golden mug, model 3").tokens
    assert ours == theirs
    bert, kept = load_file(made / "bert" / "model.safetensors"), model.item.state_dict()
    for n in range(2):
        dense = bert[f"encoder.layer.{n}.intermediate.dense.weight"]
        assert torch.equal(kept[f"blocks.{n}.mlp.0.weight"], dense)
    vectors = Embedder.from_pretrained(summary.model).embed(titles=["Red mug", "Blue lamp"])
    assert vectors.shape == (2, 32)


def test_what_was_taken_is_trained_and_a_stopped_run_goes_on_bit_for_bit(
    catalog: Catalog, made: Path, tmp_path: Path
) -> None:
    settings = from_bert(made)
    train(catalog, tmp_path / "whole", *settings)
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "stopped", *settings, stop_at=3)
    train(catalog, tmp_path / "stopped", *settings, resume=True)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    losses = records(tmp_path / "whole", "train")
    assert losses[-1]["loss"] < losses[0]["loss"]
    train(catalog, tmp_path / "kept", *settings, KEPT)
    assert weights(tmp_path / "kept") != weights(tmp_path / "whole")


def test_vits_blocks_in_a_run_that_drops_patches(catalog: Catalog, made: Path, tmp_path: Path) -> None:
    settings = (f"warm_start.blocks={made / 'vit'}", f"warm_start.patch_embedding={made / 'vit'}")
    drop = ("objectives.patch_masking=drop", "training.precision=bf16")
    summary = train(catalog, tmp_path / "run", *SHAPE, *settings, *drop)
    model = load_model(summary.model, ItemForPreTraining)
    assert (model.config.norm_position, model.config.layer_norm_eps) == ("pre", 0.03)
    assert "embeddings.word but row 2" in summary.beginning["warm_start"]["new"]
    assert model.config.vocab_size < 100  # trained on the titles


def test_another_run_goes_on_from_one_that_began_with_roberta(catalog: Catalog, made: Path, tmp_path: Path) -> None:
    text = f"warm_start.text_embeddings={made / 'roberta'}"
    first = train(catalog, tmp_path / "first", *SHAPE, "model.vocab_size=30000", text)
    config = continued_config(first.model, settings=["training.steps=3"])
    assert not config.warm_start.on
    second = pretrain(catalog, tmp_path / "second", config, continue_from=first.model)
    before, after = (load_tokenizer(model / "tokenizer.json") for model in (first.model, second.model))
    assert after.to_str() == before.to_str()
    with pytest.raises(ConfigError, match="warm_start and --from"):
        continued_config(first.model, settings=[text])


@pytest.mark.parametrize(
    "setting",
    ["model.norm_position=pre", "model.vocab_size=80", "model.hidden_size=16", "warm_start.blocks=/no/such/folder"],
)
def test_what_cannot_be_taken_leaves_no_run(setting: str, catalog: Catalog, made: Path, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"warm_start\.") as caught:
        pretrain(catalog, tmp_path / "run", tiny_config(*from_bert(made), setting))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_patches_by_convolutions_have_no_linear_map_to_take(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"warm_start\.patch_embedding .*set model\.patch_embedding to linear"):
        tiny_config(*from_bert(made), "model.patch_embedding=convolutional")
    with pytest.raises(ConfigError, match=r"there is no setting blocks; do you mean warm_start\.blocks"):
        tiny_config("blocks=bert")


def test_the_guides_example_is_a_configuration(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf8")
    (example,) = re.findall(r"```yaml\n(.*?warm_start:.*?)```", guide, re.DOTALL)
    file = tmp_path / "warm.yaml"
    file.write_text(example)
    config = RunConfig.load(file)
    assert config.warm_start.blocks == config.warm_start.text_embeddings == "google-bert/bert-base-uncased"
    assert (config.model.norm_position, config.model.hidden_size, config.model.patch_size) == ("post", 768, 16)
