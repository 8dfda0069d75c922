"""A run that goes on from a trained model on another catalogue: its settings, and its first weights.

What decides the shape of a weight is the model's; tasks, augmentation and the course of training are the run's own.
The model's words keep their ids, and new letters come behind them; whole words only where there is more room, because
they cost: a rare word in three pieces weighs as much as three, and whole it weighs as one.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from tokenizers import Tokenizer
from torch import Tensor

from item_embed.config import ModelSettings, RunConfig
from item_embed.errors import ConfigError, ModelError
from item_embed.model.configuration import ItemConfig
from item_embed.model.folder import MODEL_FILES, PROVENANCE_FILE, TOKENIZER_FILE, fingerprint, provenance
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.storage import load_model
from item_embed.model.tokenizer import added_pieces, load_tokenizer
from item_embed.wording import number_of

#: The folder of a run that holds what it needs of the model that it began with.
SOURCE_FOLDER = "from"

# What a run may set otherwise than the model: dropout and empty patches have no weights, positions are interpolated,
# words are added.
_FREE = ("image_size", "dropout", "background", "vocab_size")
_TASKS = ("objectives", "patch_masking", "global_head")  # what decides which heads there are
_HEADINGS = ("objectives", "augmentation", "training", "whitening")
# Weights of a row for each word, and of one for each place of a photo.
_BY_WORD = ("item.embeddings.word.weight", "heads.mlm.decoder.bias", "heads.gmlm.decoder.bias")
_BY_PLACE = "item.embeddings.patch_position.weight"

_SHOWN = 5  # new words named to the user
_LEAST_WORDS = 64  # that a configuration may allow


def continued_config(model: Path, config: str | Path | None = None, settings: Sequence[str] = ()) -> RunConfig:
    """The configuration of a run that goes on from a model.

    The architecture is the model's. Objectives, augmentation and training are those of the run that the model came
    from, but each heading that `config` has is its, and `settings` change any of them.

    Args:
        model: its folder.
        config: a name or a YAML file, as `RunConfig.load` takes it; what it says of the architecture does not count.
        settings: such as `training.steps=500`.

    Raises:
        ModelError: when the folder holds no model to go on from.
        ConfigError: when a setting is unknown, out of range, or contradicts the architecture.

    Examples:
        >>> continued_config(Path("run/model"), settings=["training.steps=500"])  # doctest: +SKIP
    """
    source = Source.of(model)
    given = None if config is None else RunConfig.load(config)
    own = _own_config(model) or given
    if own is None:
        raise ConfigError(
            f"{model} does not tell the settings of its run ({PROVENANCE_FILE} is missing, or of another version); "
            "give --config."
        )
    stated = set() if given is None else given.model_fields_set
    headings = {name: getattr(given if name in stated else own, name) for name in _HEADINGS}
    base = {"model": source.settings, **headings}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        told = {name: settings.model_dump(mode="json") for name, settings in base.items()}
        file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf8")  # judged with `settings`, not before
        try:
            continued = RunConfig.load(file, settings)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"configuration {file}", f"going on from {model}")) from None
    source.check(continued)
    return continued


def _own_config(model: Path) -> RunConfig | None:
    """The configuration of the run that a model came from, where its folder tells it."""
    try:
        return RunConfig.model_validate(provenance(model).get("config"))
    except ValidationError:
        return None


@dataclass(frozen=True)
class Source:
    """A trained model that a run goes on from.

    Attributes:
        folder: the model's.
        model: the encoder with its heads.
        tokenizer: its words.
    """

    folder: Path
    model: ItemForPreTraining
    tokenizer: Tokenizer

    @classmethod
    def of(cls, folder: Path) -> "Source":
        """Load a model.

        Raises:
            ModelError: when it is no model folder, is damaged, or holds a baseline of `item compare`.
        """
        if learner := provenance(folder).get("learner"):
            raise ModelError(
                f"{folder} holds {learner}, a baseline of `item compare`, and only what `item pretrain` made can be "
                "gone on from; give its RUN/model."
            )
        model, tokenizer = load_model(folder, ItemForPreTraining), load_tokenizer(folder / TOKENIZER_FILE)
        if tokenizer.get_vocab_size() != model.config.vocab_size:
            raise ModelError(
                f"{folder} has {tokenizer.get_vocab_size():,} words in its tokenizer and {model.config.vocab_size:,} "
                "in its weights; copy the whole model folder."
            )
        return cls(folder, model, tokenizer)

    @property
    def settings(self) -> ModelSettings:
        """The architecture, without room for new words: letters are kept past it."""
        config = self.model.config.to_dict()
        known = {name: config[name] for name in ModelSettings.model_fields if name in config}
        return ModelSettings(**{**known, "vocab_size": max(config["vocab_size"], _LEAST_WORDS)})

    @property
    def facts(self) -> dict[str, Any]:
        """Which model it is, as JSON."""
        known = provenance(self.folder)
        told = ("catalog", "catalog_fingerprint", "excluded_rows", "samples", "from")
        beside = {name: value for name, value in known.items() if name in told}
        return {"model": str(self.folder), "fingerprint": fingerprint(self.folder), **beside}

    def check(self, config: RunConfig) -> None:
        """Refuse a run of another architecture, or that takes its first weights from elsewhere, too.

        Raises:
            ConfigError: naming the first setting that does not fit.
        """
        if config.warm_start.on:
            raise ConfigError(
                "warm_start and --from both name weights to begin with; leave the settings of warm_start out."
            )
        for name, has in self.settings:
            wanted = getattr(config.model, name)
            if name not in _FREE and wanted != has:
                raise ConfigError(
                    f"model.{name}={wanted} does not fit {self.folder}, where it is {has}: leave it out, or train from "
                    "the start, without --from."
                )
        words = self.model.config.vocab_size
        if config.model.vocab_size < words:
            raise ConfigError(
                f"model.vocab_size={config.model.vocab_size} is too small for the {words:,} words of {self.folder}, "
                "which are all kept: give more, or leave it out."
            )

    def copy(self, folder: Path) -> None:
        """Put what a run needs of the model into a new folder, so that it goes on when the model is gone."""
        folder.mkdir()
        for name in (*MODEL_FILES, PROVENANCE_FILE):
            if (self.folder / name).is_file():
                shutil.copy(self.folder / name, folder / name)

    def begin(self, config: RunConfig, tokenizer: Tokenizer) -> "tuple[ItemForPreTraining, Taken]":
        """A model with these weights, as far as both have them; the others are as torch's generator draws them now.

        A new word starts as the mean of the pieces that it was cut into before (fast vocabulary transfer, arXiv
        2402.09977). One with a letter that was not known starts as the mean of all
        (https://nlp.stanford.edu/~johnhew/vocab-expansion.html) plus what is drawn, which tells it from others. A head
        is taken where its weights have the same names and shapes.

        Args:
            config: of the run, of this architecture.
            tokenizer: this one's words, and new ones behind them.
        """
        wanted = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        changed = {name: getattr(wanted, name) for name in (*_FREE, *_TASKS)}
        model = ItemForPreTraining(ItemConfig(**{**self.model.config.to_dict(), **changed}))
        pieces = added_pieces(self.tokenizer, tokenizer)
        drawn, known = model.state_dict(), self.model.state_dict()
        for name in drawn.keys() & known.keys() & set(_BY_WORD):
            known[name] = _with_new_words(known[name], drawn[name], list(pieces.values()))
        with torch.no_grad():
            known[_BY_PLACE] = self.model.item.embeddings.patch_positions(model.config.grid_size)
        heads = [name for name in model.heads if _shapes(known, name) == _shapes(drawn, name)]
        taken = ("item.", *(f"heads.{name}." for name in heads))
        model.load_state_dict(drawn | {name: weight for name, weight in known.items() if name.startswith(taken)})
        new_heads = [name for name in model.heads if name not in heads]
        grids = self.model.config.grid_size, model.config.grid_size
        return model, Taken(heads, new_heads, list(pieces), *grids)


@dataclass(frozen=True)
class Taken:
    """What a run took of a model besides the rest of the encoder, and what is new.

    Attributes:
        heads: of tasks that both have.
        new_heads: of tasks that the model did not have, or with a head of another kind.
        pieces: letters and words that it did not know.
        grid: rows and columns of patches in its photos.
        new_grid: those of the run; where they are others, positions are interpolated.
    """

    heads: list[str]
    new_heads: list[str]
    pieces: list[str]
    grid: tuple[int, int]
    new_grid: tuple[int, int]

    @property
    def words(self) -> list[str]:
        """The new pieces that are no letters, the most frequent first."""
        return [piece for piece in self.pieces if len(piece) > 1 and not piece.startswith("##")]

    def as_json(self) -> dict[str, Any]:
        """What was taken and what is new."""
        return {
            "heads": self.heads,
            "new_heads": self.new_heads,
            "new_letters": len(self.pieces) - len(self.words),
            "new_words": len(self.words),
            "patch_grid": list(self.grid),
            "new_patch_grid": list(self.new_grid),
        }

    def told(self, model: str) -> str:
        """The same for a reader, in a sentence."""
        letters, words = len(self.pieces) - len(self.words), self.words
        some = ", ".join([*words[:_SHOWN], *(["…"] if len(words) > _SHOWN else [])])
        new = [
            *([number_of(letters, "letter")] if letters else []),
            *([f"{number_of(len(words), 'word')} ({some})"] if words else []),
            *(f"the head of {name}" for name in self.new_heads),
        ]
        taken = "".join(f", the head of {name}" for name in self.heads)
        grid = (
            ""
            if self.grid == self.new_grid
            else f"; positions are interpolated from {_by(self.grid)} to {_by(self.new_grid)} patches"
        )
        return f"taken from {model}: the encoder{taken}; new: {', '.join(new) or 'nothing'}{grid}"


def _with_new_words(known: Tensor, drawn: Tensor, cuts: list[list[int]]) -> Tensor:
    """(V, ...), (V + n, ...), n lists of rows below V -> (V + n, ...)."""
    grown = drawn.clone()
    grown[: len(known)] = known
    for row, ids in enumerate(cuts, len(known)):
        grown[row] = known[ids].mean(dim=0) if ids else known.mean(dim=0) + drawn[row]
    return grown


def _shapes(weights: dict[str, Tensor], head: str) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items() if name.startswith(f"heads.{head}.")}


def _by(grid: tuple[int, int]) -> str:
    return f"{grid[0]} x {grid[1]}"
