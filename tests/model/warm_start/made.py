"""Small BERTs and ViTs with random weights and tokenizers, saved as transformers saves them; nothing is downloaded."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTMAEConfig,
    ViTMAEModel,
    ViTModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from item_embed.config import ModelSettings, ObjectiveSettings, WarmStartSettings
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.storage import quiet_transformers
from item_embed.model.warm_start.start import Taken, WarmStart, load_warm_start

TITLES = ["Red mug, model 3", "", "blue lamp", "a golden chair with a green bag, model 12 or so"]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
POST = {**SIZES, "norm_position": "post"}
#: Far from any default, so that a forgotten one shows.
_EPS = 0.03


def settings(**changes: Any) -> ModelSettings:
    """Our architecture that fits the models made here; photos of 3 x 2 patches."""
    model = {"image_size": (24, 16), "patch_size": 8, "max_title_tokens": 12, "dropout": 0.0}
    return ModelSettings(**{**model, **SIZES, **changes})


def begun(model: ModelSettings, sources: dict[str, Path], seed: int = 0) -> tuple[ItemForPreTraining, WarmStart, Taken]:
    """A model of ours with what is taken, all its other weights random, biases and norms too."""
    start = load_warm_start(WarmStartSettings(**{name: str(path) for name, path in sources.items()}), model)
    words = start.vocabulary.tokenizer.get_vocab_size() if start.vocabulary else 70
    config = ItemConfig.from_settings(model, ObjectiveSettings(), words)
    config.update(start.architecture)
    ours = ItemForPreTraining(config)
    shake(ours, seed)
    taken = start.fill(ours)
    ours.train(False)
    return ours, start, taken


@torch.no_grad()
def shake(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)


def save(model: Any, folder: Path, seed: int = 0) -> Any:
    """The model, its weights shaken, in evaluation mode and in a folder."""
    shake(model, seed)
    with quiet_transformers():
        model.save_pretrained(folder)
    return model.train(False)


def word_piece() -> Tokenizer:
    """BERT's: special tokens in the middle, in an order of their own."""
    pieces = ["[PAD]", "[unused0]", "red", "mug", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "model", "##s", "blue"]
    pieces += ["lamp", "[unused1]", "a", "golden", "chair", "with", "green", "bag", *"0123456789", "##2", "[", "]"]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 6), ("[CLS]", 5))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


_FIRST = ["<s>", "<pad>", "</s>", "<unk>"]  # <mask> comes last


def byte_pairs() -> Tokenizer:
    """RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=_FIRST, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TITLES * 3, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def unigram() -> Tokenizer:
    """XLM-RoBERTa's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=_FIRST, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TITLES * 3, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def text_model(folder: Path, kind: str = "bert", **changes: Any) -> Any:
    """A BERT, RoBERTa or XLM-RoBERTa of 20 positions, and its tokenizer."""
    tokenizer, config, model = {
        "bert": (word_piece, BertConfig, BertModel),
        "roberta": (byte_pairs, RobertaConfig, RobertaModel),
        "xlm-roberta": (unigram, XLMRobertaConfig, XLMRobertaModel),
    }[kind]
    made: Any = tokenizer()
    words = made.get_vocab_size()
    drop = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    size = {"vocab_size": words + 3, "max_position_embeddings": 20, "layer_norm_eps": _EPS}
    saved = save(model(config(**{**SIZES, **drop, **size, **changes})), folder)
    made.save(str(folder / "tokenizer.json"))
    return saved


def photo_model(folder: Path, kind: str = "vit", preprocessor: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A ViT or MAE on photos of 32 x 32 pixels in 4 x 4 patches."""
    config, model = {"vit": (ViTConfig, ViTModel), "vit_mae": (ViTMAEConfig, ViTMAEModel)}[kind]
    size = {"image_size": 32, "patch_size": 8, "layer_norm_eps": _EPS}
    if kind == "vit_mae":
        size["mask_ratio"] = 0.0
    made: Any = model
    saved = save(made(config(**{**SIZES, **size, **changes})), folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return saved


def pixels(*shape: int, seed: int = 0) -> Tensor:
    """Photos as our encoder reads them, in [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
