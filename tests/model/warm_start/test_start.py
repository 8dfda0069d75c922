"""Our encoder with weights of transformers' models, against those models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertForMaskedLM, ViTForImageClassification

from item_embed.config import WarmStartSettings
from item_embed.errors import ConfigError, ModelError
from item_embed.model.encoder import ItemModel
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import CLS, MASK
from item_embed.model.warm_start.start import WarmStart, load_warm_start
from tests.model.warm_start.made import (
    POST,
    SIZES,
    TITLES,
    begun,
    photo_model,
    pixels,
    settings,
    text_model,
)

CLS_ALONE = torch.tensor([[CLS]] * 2)


def text_of(folder: Path) -> dict[str, Path]:
    return {"blocks": folder, "text_embeddings": folder}


def photos_of(folder: Path) -> dict[str, Path]:
    return {"blocks": folder, "patch_embedding": folder}


def read_by_theirs(theirs: Any, folder: Path) -> tuple[Tensor, Tensor]:
    """Outputs of their model for `TITLES`, cut by their own tokenizer, and which of them are padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pad = tokenizer.token_to_id("<pad>") or 0
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(pad_id=pad)
    encoded = tokenizer.encode_batch(TITLES)
    ids = torch.tensor([e.ids for e in encoded])
    there = torch.tensor([e.attention_mask for e in encoded])
    return theirs(input_ids=ids, attention_mask=there).last_hidden_state, there == 0


def read_by_ours(ours: ItemForPreTraining, start: WarmStart) -> Tensor:
    assert start.vocabulary
    tokens = ItemProcessor(start.vocabulary.tokenizer, (24, 16), 12).tokenize(TITLES)
    output: Tensor = ours(torch.from_numpy(tokens.ids), token_padding=torch.from_numpy(tokens.padding)).hidden
    return output


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert", {}),
        ("bert", {"hidden_act": "gelu_new"}),
        ("bert", {"hidden_act": "relu", "type_vocab_size": 1}),
        ("roberta", {}),
        ("roberta", {"pad_token_id": 4}),
        ("xlm-roberta", {}),
    ],
)
def test_titles_alone_are_read_as_by_theirs(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = text_model(tmp_path / "text", kind, **changes)
    ours, start, _ = begun(settings(**POST), text_of(tmp_path / "text"))
    expected, padding = read_by_theirs(theirs, tmp_path / "text")
    found = read_by_ours(ours, start)
    torch.testing.assert_close(found[~padding], expected[~padding], atol=2e-5, rtol=2e-5)


PREPROCESSOR = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25]}


def as_theirs(photos: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """Photos in [-1, 1] as an image processor of transformers normalises them."""
    return ((photos + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALVES = [0.5] * 3, [0.5] * 3


@pytest.mark.parametrize(
    ("kind", "changes", "preprocessor", "normalised"),
    [
        ("vit", {}, None, HALVES),
        ("vit", {"qkv_bias": False, "hidden_act": "quick_gelu"}, None, HALVES),
        ("vit", {}, PREPROCESSOR, (PREPROCESSOR["image_mean"], PREPROCESSOR["image_std"])),
        ("vit", {"image_size": [32, 32], "patch_size": [8, 8]}, {"do_normalize": False}, ([0.0] * 3, [1.0] * 3)),
        ("vit_mae", {}, None, IMAGENET),
    ],
)
@pytest.mark.parametrize("size", [(32, 32), (24, 16)])
def test_patches_alone_are_read_as_by_theirs(
    kind: str,
    changes: dict[str, Any],
    preprocessor: dict[str, Any] | None,
    normalised: tuple[list[float], list[float]],
    size: tuple[int, int],
    tmp_path: Path,
) -> None:
    """In photos of another shape than theirs, positions are interpolated as they do it."""
    theirs = photo_model(tmp_path / "vit", kind, preprocessor, **changes)
    if "patch_size" in changes:  # what transformers itself cannot interpolate with
        theirs.embeddings.patch_size = 8
    ours, _, taken = begun(settings(image_size=size), photos_of(tmp_path / "vit"))
    photos = pixels(2, 3, *size)
    options: dict[str, Any] = {"interpolate_pos_encoding": size != (32, 32)}
    if kind == "vit_mae":  # in the order of the patches
        options["noise"] = torch.arange(size[0] * size[1] // 64)[None].expand(2, -1).float()
    expected = theirs(pixel_values=as_theirs(photos, *normalised), **options).last_hidden_state
    torch.testing.assert_close(ours(CLS_ALONE, photos).hidden, expected, atol=2e-5, rtol=2e-5)
    assert ("interpolated to 3 x 2" in taken.taken["patch_embedding"]) == (size == (24, 16))


def test_gradients_are_those_of_bert(tmp_path: Path) -> None:
    theirs = text_model(tmp_path / "bert")
    ours, start, _ = begun(settings(**POST), text_of(tmp_path / "bert"))
    expected, padding = read_by_theirs(theirs, tmp_path / "bert")
    wanted = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)) * ~padding[..., None]
    (expected * wanted).sum().backward()
    (read_by_ours(ours, start) * wanted).sum().backward()
    gradients = {name: p.grad for name, p in ours.item.named_parameters() if p.grad is not None}
    assert start.vocabulary
    for n, layer in enumerate(theirs.encoder.layer):
        attention = layer.attention.self
        qkv = torch.cat([attention.query.weight.grad, attention.key.weight.grad, attention.value.weight.grad])
        for name, gradient in {
            "attention.qkv.weight": qkv,
            "attention.out.bias": layer.attention.output.dense.bias.grad,
            "attention_norm.weight": layer.attention.output.LayerNorm.weight.grad,
            "mlp.0.weight": layer.intermediate.dense.weight.grad,
            "mlp_norm.bias": layer.output.LayerNorm.bias.grad,
        }.items():
            torch.testing.assert_close(gradients[f"blocks.{n}.{name}"], gradient, atol=1e-4, rtol=1e-3)
    embeddings = theirs.embeddings
    words = embeddings.word_embeddings.weight.grad[start.vocabulary.old_ids]
    torch.testing.assert_close(gradients["embeddings.word.weight"][1:], words[1:], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(
        gradients["embeddings.title_position.weight"],
        embeddings.position_embeddings.weight.grad[:12],
        atol=1e-4,
        rtol=1e-3,
    )
    torch.testing.assert_close(
        gradients["embeddings.norm.weight"], embeddings.LayerNorm.weight.grad, atol=1e-4, rtol=1e-3
    )


def test_vits_blocks_with_berts_words_read_a_photo_as_vit_does(tmp_path: Path) -> None:
    """[CLS] is ViT's, though another type is added to it; the other words and positions are BERT's."""
    vit, bert = photo_model(tmp_path / "vit"), text_model(tmp_path / "bert")
    sources = {"blocks": tmp_path / "vit", "text_embeddings": tmp_path / "bert", "patch_embedding": tmp_path / "vit"}
    ours, start, taken = begun(settings(image_size=(32, 32)), sources)
    photos = pixels(2, 3, 32, 32)
    expected = vit(pixel_values=photos).last_hidden_state
    torch.testing.assert_close(ours(CLS_ALONE, photos).hidden, expected, atol=2e-5, rtol=2e-5)
    embeddings, theirs = ours.item.embeddings, bert.embeddings
    assert start.vocabulary
    mask = start.vocabulary.tokenizer.token_to_id("[MASK]")
    assert mask == MASK
    assert torch.equal(embeddings.word.weight[mask], theirs.word_embeddings.weight[7])
    assert torch.equal(embeddings.title_position.weight[1:], theirs.position_embeddings.weight[1:12])
    assert torch.equal(embeddings.modality.weight[0], theirs.token_type_embeddings.weight[0])
    assert not embeddings.modality.weight[1].any()
    assert list(taken.taken) == ["blocks", "text_embeddings", "patch_embedding"]
    assert set(taken.new) == {"embeddings.patch_mask", *(f"heads.{name}" for name in ours.heads)}


def test_berts_blocks_with_vits_patches_keep_berts_cls(tmp_path: Path) -> None:
    theirs = text_model(tmp_path / "bert")
    photo_model(tmp_path / "vit")
    sources = {"blocks": tmp_path / "bert", "text_embeddings": tmp_path / "bert", "patch_embedding": tmp_path / "vit"}
    ours, start, taken = begun(settings(**POST), sources)
    expected, padding = read_by_theirs(theirs, tmp_path / "bert")
    torch.testing.assert_close(read_by_ours(ours, start)[~padding], expected[~padding], atol=2e-5, rtol=2e-5)
    assert "[CLS]" not in taken.taken["patch_embedding"]
    photos = pixels(2, 3, 24, 16)
    assert ours(CLS_ALONE, photos).hidden.isfinite().all()
    assert not torch.equal(ours(CLS_ALONE, photos).cls, ours(CLS_ALONE, -photos).cls)


@pytest.mark.parametrize("position", ["pre", "post"])
@pytest.mark.parametrize(
    "names",
    [(), ("blocks",), ("text_embeddings",), ("patch_embedding",), ("blocks", "patch_embedding")],
)
def test_what_is_called_new_is_what_is_not_taken(names: tuple[str, ...], position: str, tmp_path: Path) -> None:
    """Two models that were drawn from other seeds differ where something is new, and nowhere else."""
    text_model(tmp_path / "text")
    photo_model(tmp_path / "photo")
    folders = {
        "blocks": "photo" if position == "pre" else "text",
        "text_embeddings": "text",
        "patch_embedding": "photo",
    }
    sources = {name: tmp_path / folders[name] for name in names}
    model = settings(norm_position=position)
    one, _, taken = begun(model, sources)
    other, _, again = begun(model, sources, seed=1)
    assert taken == again
    assert list(taken.taken) == list(names)
    differing = set()
    for (name, ours), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        room, *rest = name.removeprefix("item.").split(".")
        part = f"{room}.{rest[0]}" if room in {"embeddings", "heads"} else room
        different = (ours != theirs).flatten(1).any(dim=1) if ours.dim() > 1 else (ours != theirs)
        if different.all():
            differing.add(part)
        elif different.any():
            (row,) = (~different).nonzero().flatten().tolist()
            differing.add(f"{part} but row {row}")
    assert set(taken.new) == differing
    assert taken.lines()[-1] == f"new: {', '.join(taken.new)}"


def test_a_model_that_began_so_is_saved_and_loaded_as_it_is(tmp_path: Path) -> None:
    text_model(tmp_path / "bert", hidden_act="gelu_new")
    ours, _, _ = begun(settings(**POST), text_of(tmp_path / "bert"))
    ours.save_pretrained(tmp_path / "ours")
    loaded = ItemModel.from_pretrained(tmp_path / "ours")
    assert (loaded.config.norm_position, loaded.config.hidden_act) == ("post", "gelu_new")
    photos = pixels(2, 3, 24, 16)
    assert torch.equal(loaded(CLS_ALONE, photos).hidden, ours(CLS_ALONE, photos).hidden)


def same_titles(tmp_path: Path, theirs: Any, folder: Path) -> None:
    expected, padding = read_by_theirs(theirs, tmp_path / "text")
    ours, start, _ = begun(settings(**POST), text_of(folder))
    torch.testing.assert_close(read_by_ours(ours, start)[~padding], expected[~padding], atol=2e-5, rtol=2e-5)


def test_checkpoints_with_a_head_of_old_names_and_in_parts(tmp_path: Path) -> None:
    theirs = text_model(tmp_path / "text")
    folder = tmp_path / "text"
    headed = BertForMaskedLM(theirs.config)
    headed.bert.load_state_dict(theirs.state_dict(), strict=False)
    headed.save_pretrained(folder)
    assert "bert.embeddings.word_embeddings.weight" in load_file(folder / "model.safetensors")
    same_titles(tmp_path, theirs, folder)
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    same_titles(tmp_path, theirs, folder)
    (folder / "model.safetensors").unlink()
    theirs.save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    same_titles(tmp_path, theirs, folder)
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(ModelError, match=r"lacks one of model-00001.*copy the whole model"):
        same_titles(tmp_path, theirs, folder)


def test_a_vit_that_classifies_and_weights_in_half_precision(tmp_path: Path) -> None:
    theirs = photo_model(tmp_path / "vit")
    headed = ViTForImageClassification(theirs.config)
    headed.vit.load_state_dict(theirs.state_dict(), strict=False)
    headed.half().save_pretrained(tmp_path / "vit")
    ours, _, _ = begun(settings(image_size=(32, 32)), photos_of(tmp_path / "vit"))
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    photos = pixels(2, 3, 32, 32)
    expected = theirs(pixel_values=photos).last_hidden_state
    torch.testing.assert_close(ours(CLS_ALONE, photos).hidden, expected, atol=2e-2, rtol=2e-2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    text_model(folder / "bert")
    text_model(folder / "roberta", "roberta")
    photo_model(folder / "vit")
    return folder


@pytest.mark.parametrize(
    ("warm_start", "model", "sentence"),
    [
        ({"blocks": "bert"}, {}, r"does not fit model\.norm_position=pre: set model\.norm_position=post,"),
        ({"blocks": "vit"}, POST, r"does not fit model\.norm_position=post: set model\.norm_position=pre,"),
        (
            {"blocks": "vit"},
            {"hidden_size": 64, "num_hidden_layers": 3},
            r"warm_start\.blocks is .*vit \(vit\), which does not fit model\.hidden_size=64, "
            r"model\.num_hidden_layers=3: set model\.hidden_size=32 model\.num_hidden_layers=2,",
        ),
        ({"blocks": "vit"}, {"num_attention_heads": 2}, r"set model\.num_attention_heads=4"),
        ({"blocks": "vit"}, {"intermediate_size": 64}, r"set model\.intermediate_size=48"),
        (
            {"text_embeddings": "bert"},
            {"hidden_size": 64},
            r"warm_start\.text_embeddings is .*set model\.hidden_size=32",
        ),
        ({"text_embeddings": "bert"}, {"vocab_size": 6000}, r"model\.vocab_size=6000: set model\.vocab_size=33,"),
        ({"text_embeddings": "bert"}, {"max_title_tokens": 21}, r"at most 20 tokens: lower .*, which is 21"),
        ({"text_embeddings": "roberta"}, {"max_title_tokens": 19}, r"at most 18 tokens: lower .*, which is 19"),
        ({"text_embeddings": "vit"}, {}, r"vit \(vit\); it is taken from bert, roberta, xlm-roberta"),
        ({"patch_embedding": "bert"}, {}, r"bert \(bert\); it is taken from vit, vit_mae"),
        ({"patch_embedding": "vit"}, {"patch_size": 4}, r"model\.patch_size=4: set model\.patch_size=8"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    warm_start: dict[str, str], model: dict[str, Any], sentence: str, folders: Path
) -> None:
    chosen = WarmStartSettings(**{name: str(folders / kind) for name, kind in warm_start.items()})
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_warm_start(chosen, settings(**model))
    assert "\n" not in str(caught.value)
    assert str(folders) in str(caught.value)


def test_the_vocabularys_size_may_be_given_if_it_is_right(folders: Path) -> None:
    chosen = WarmStartSettings(text_embeddings=str(folders / "roberta"))
    free = load_warm_start(chosen, settings())
    assert free.vocabulary
    words = free.vocabulary.tokenizer.get_vocab_size()
    assert load_warm_start(chosen, settings(vocab_size=words)).vocabulary
    assert SIZES["hidden_size"] == free.weights["embeddings.word.weight"].shape[1]
    assert len(free.weights["embeddings.word.weight"]) == words


def test_nothing_is_taken_by_default() -> None:
    ours, start, taken = begun(settings(), {})
    assert (start.architecture, start.vocabulary, taken.taken) == ({}, None, {})
    assert {"blocks", "norm", "embeddings.word", "heads.itm"} < set(taken.new)
    assert ours.config.layer_norm_eps == 1e-6
