"""Small models with random weights, saved as transformers saves them; nothing is downloaded."""

import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
    XLNetConfig,
    XLNetModel,
)

from item_embed.catalog.store import Catalog
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError, ModelError
from item_embed.evaluation.learners.choosing import learner
from item_embed.evaluation.learners.learner import Fitted
from item_embed.model.tokenizer import train_tokenizer
from item_embed.training.run import pretrain
from tests.evaluation.learners.made import fit, material
from tests.evaluation.learners.pictures import png
from tests.tiny import tiny_config, tiny_model, tiny_processor

TITLES = ["Red mug", "Blue lamp with a very long shade, and more words than it has places for", None]
PHOTOS = [png(40, 30), None, png(20, 50)]
TOWER: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
IMAGE: dict[str, Any] = {"image_size": 16, "patch_size": 8}


SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def save(model: Any, folder: Path, **preprocessor: Any) -> Path:
    """A model folder with a tokenizer and, where settings are given, those of photos."""
    torch.manual_seed(0)
    model.save_pretrained(folder)
    save_tokenizer(folder, **SPECIAL, model_max_length=12)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def save_tokenizer(folder: Path, **settings: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(["red mug", "blue lamp"] * 3, 64), **settings)
    tokenizer.save_pretrained(folder)


def clip(folder: Path) -> Path:
    text = TOWER | {"vocab_size": 64, "max_position_embeddings": 12, "eos_token_id": 3, "pad_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config=TOWER | IMAGE, projection_dim=8)
    return save(CLIPModel(config), folder, size=16, crop_size=16, do_center_crop=True)


def siglip(folder: Path) -> Path:
    text = TOWER | {"vocab_size": 64, "max_position_embeddings": 12, "pad_token_id": 0}
    config = SiglipConfig(text_config=text, vision_config=TOWER | IMAGE)
    return save(SiglipModel(config), folder, size={"height": 16, "width": 16})


def bert(folder: Path) -> Path:
    config = BertConfig(vocab_size=64, max_position_embeddings=14, **TOWER)
    return save(BertModel(config, add_pooling_layer=False), folder)


def gpt(folder: Path, **special: str) -> Path:
    """Its tokenizer knows no padding and no longest text."""
    save(GPT2Model(GPT2Config(vocab_size=64, n_positions=14, n_embd=16, n_layer=1, n_head=2)), folder)
    save_tokenizer(folder, **special)
    return folder


def vit(folder: Path) -> Path:
    """With pooling, which is trained for all we know."""
    return save(ViTModel(ViTConfig(**TOWER, **IMAGE)), folder, size=16)


def vit_without_pooling(folder: Path) -> Path:
    return save(ViTForImageClassification(ViTConfig(**TOWER, **IMAGE)), folder, size=16)


def resnet(folder: Path) -> Path:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return save(ResNetModel(config), folder, size={"height": 32, "width": 32})


def frozen(folder: Path, catalog: Catalog) -> Fitted:
    chosen = learner(f"frozen:{folder}")
    assert not chosen.trains
    assert not chosen.labels
    fitted = fit(chosen, material(catalog), folder.parent / "nothing")
    assert (fitted.samples, fitted.minutes) == (0, 0)
    assert not (folder.parent / "nothing").exists()
    return fitted


@pytest.mark.parametrize(
    ("make", "sees", "dimension"),
    [
        (clip, "both", 16),
        (siglip, "both", 32),
        (bert, "title", 16),
        (vit, "image", 16),
        (vit_without_pooling, "image", 16),
        (resnet, "image", 16),
    ],
)
def test_models_of_transformers(make: Any, sees: str, dimension: int, catalog: Catalog, tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    assert learner(f"frozen:{folder}").sees == sees
    fitted = frozen(folder, catalog)
    vectors = fitted.embeds.embed(PHOTOS, TITLES)
    assert vectors.shape == (3, dimension)
    seen = [1, int(sees != "image"), int(sees != "title")]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), seen, atol=1e-5)
    np.testing.assert_allclose(vectors, fitted.embeds.embed(PHOTOS, TITLES, batch_size=1), atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1])
    assert fitted.parameters > 1000


def test_a_text_encoder_gives_the_mean_of_a_titles_tokens(catalog: Catalog, tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = train_tokenizer(["red mug", "blue lamp"] * 3, 64).encode("Red mug").ids
    with torch.no_grad():
        mean = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
    [vector, _, _] = frozen(folder, catalog).embeds.embed(PHOTOS, TITLES)
    np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)


def test_a_model_that_knows_no_padding_gives_the_mean_of_a_titles_own_tokens(catalog: Catalog, tmp_path: Path) -> None:
    fitted = frozen(gpt(tmp_path / "gpt", eos_token="[SEP]"), catalog)
    vectors = fitted.embeds.embed(PHOTOS, TITLES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(vectors, fitted.embeds.embed(PHOTOS, TITLES, batch_size=1), atol=1e-5)
    with pytest.raises(ModelError, match="nothing has no token to make titles equally long with; give another model"):
        frozen(gpt(tmp_path / "nothing"), catalog)


def test_a_model_that_knows_no_longest_text(catalog: Catalog, tmp_path: Path) -> None:
    config = XLNetConfig(vocab_size=64, d_model=16, n_layer=1, n_head=2, d_inner=32)
    folder = save(XLNetModel(config), tmp_path / "xlnet")
    save_tokenizer(folder, **SPECIAL)
    vectors = frozen(folder, catalog).embeds.embed(PHOTOS, TITLES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)


def test_an_image_encoder_without_trained_pooling_gives_cls(catalog: Catalog, tmp_path: Path) -> None:
    folder = vit_without_pooling(tmp_path / "vit")
    model = ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    from item_embed.evaluation.learners.preprocessing import Preprocessing

    pixels = torch.from_numpy(Preprocessing.of({"size": 16}, "vit")(png(40, 30)))[None]
    with torch.no_grad():
        cls = model(pixel_values=pixels).last_hidden_state[0, 0]
    [vector, _, _] = frozen(folder, catalog).embeds.embed(PHOTOS, TITLES)
    np.testing.assert_allclose(vector, (cls / cls.norm()).numpy(), atol=1e-5)


def test_a_model_of_ours(catalog: Catalog, tmp_path: Path) -> None:
    config = tiny_config()
    processor = tiny_processor(catalog, config)
    tiny_model(processor, config).save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    assert learner(f"frozen:{tmp_path / 'model'}").sees == "both"
    fitted = frozen(tmp_path / "model", catalog)
    assert isinstance(fitted.embeds, Embedder)
    assert fitted.parameters == material(catalog).parameters
    assert (fitted.samples, fitted.note) == (0, "")  # nobody says how it came to be


def test_what_a_model_of_ours_saw_in_training_is_told(catalog: Catalog, tmp_path: Path) -> None:
    model = pretrain(catalog, tmp_path / "run", tiny_config()).model
    given = material(catalog)
    whole, less = (
        fit(learner(f"frozen:{model}"), replace(given, rows=rows), tmp_path / "nothing")
        for rows in (given.rows, given.rows[3:])
    )
    assert whole.samples == less.samples == 6 * 8
    assert whole.minutes == 0
    assert whole.note.startswith("trained on the whole training split")
    assert less.note.startswith("trained on 3 rows of the queries' groups, which no other method learns from")


def test_sentence_transformers_is_asked_for_where_it_is_needed(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert(tmp_path / "sentences")
    (folder / "modules.json").write_text("[]")
    assert learner(f"frozen:{folder}").sees == "title"
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match="of sentence-transformers: `pip install sentence-transformers`, or give"):
        frozen(folder, catalog)

    class SentenceTransformer(torch.nn.Linear):
        def __init__(self, source: str, device: str, model_kwargs: dict[str, Any]) -> None:
            assert (source, device, model_kwargs) == (str(folder), "cpu", {"use_safetensors": True})
            super().__init__(2, 3)

        def encode(self, titles: list[str], *, convert_to_tensor: bool, show_progress_bar: bool) -> torch.Tensor:
            assert (convert_to_tensor, show_progress_bar) == (True, False)
            return torch.tensor([[0.0, 2.0 * len(title)] for title in titles])

    package: Any = types.ModuleType("sentence_transformers")
    package.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    fitted = frozen(folder, catalog)
    np.testing.assert_array_equal(fitted.embeds.embed(PHOTOS, TITLES), [[0, 1], [0, 1], [0, 0]])
    assert fitted.parameters == 9


def test_a_name_whose_files_are_here_needs_no_network(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a download leaves them: the commit that a branch is at, and the files of the commit."""
    cache = tmp_path / "hub" / "models--nobody--bert"
    bert(cache / "snapshots" / "c0ffee")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("c0ffee")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    chosen = learner("frozen:nobody/bert")
    assert chosen.sees == "title"
    vectors = fit(chosen, material(catalog), tmp_path / "run").embeds.embed(PHOTOS, TITLES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)


def test_no_such_folder_and_no_such_name_are_one_sentence(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for source in (str(tmp_path / "missing"), "nobody/nothing"):
        with pytest.raises(ModelError, match=f"the model {source} cannot be used: it is no folder here, and cannot"):
            fit(learner(f"frozen:{source}"), material(catalog), tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty is no model folder: config\.json is missing"):
        fit(learner(f"frozen:{tmp_path / 'empty'}"), material(catalog), tmp_path / "run")


def test_what_makes_no_vectors_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    config = T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    folder = save(T5Model(config), tmp_path / "t5")
    with pytest.raises(ModelError, match="is a t5, which makes no vectors of photos or titles"):
        fit(learner(f"frozen:{folder}"), material(catalog), tmp_path / "run")


def test_damaged_folders_are_one_sentence(catalog: Catalog, tmp_path: Path) -> None:
    folder = clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"clip cannot be used \(.*\); give another model"):
        frozen(folder, catalog)
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")  # pickled, for all we know
    with pytest.raises(ModelError, match=r"clip cannot be loaded \(.*\); give another model"):
        frozen(folder, catalog)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"clip cannot be used: its config\.json cannot be read"):
        frozen(folder, catalog)


def test_weights_that_are_not_there_are_not_made_up(catalog: Catalog, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = bert(tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("embeddings.word_embeddings.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights \(embeddings.word_embeddings.weight and others\)"):
        frozen(folder, catalog)
