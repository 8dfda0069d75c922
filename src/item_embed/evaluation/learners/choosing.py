"""Learners by the name that they have on the command line."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from item_embed.config import RunConfig
from item_embed.errors import ConfigError
from item_embed.evaluation.baselines import METHODS

if TYPE_CHECKING:  # the learners bring torch
    from item_embed.evaluation.learners.learner import Learner

#: Every name there is, besides `item:KEY=VALUE,...` and `frozen:NAME`.
NAMES = (
    "phash",
    "resnet50",
    "resnet50-categories",
    "roberta",
    "roberta-categories",
    "clip",
    "concatenation",
    "supervised",
    "item",
    "item-five",
    "item-local",
    "item-global",
    "item-agreement",
)
PATTERNS = ("item:KEY=VALUE,…", "frozen:NAME_OR_FOLDER,…", "whitened:METHOD", "fused:METHOD", "hybrid:METHOD")


def models_of(name: str) -> list[str]:
    """The models of `frozen:A,B,C`, each of which is a seed of one method; of any other method its name alone.

    Examples:
        >>> models_of("frozen:runs/0/model,runs/1/model"), models_of("clip")
        (['frozen:runs/0/model', 'frozen:runs/1/model'], ['clip'])
    """
    from item_embed.evaluation.learners.frozen import PREFIX
    from item_embed.evaluation.learners.hybrid import PREFIX as HYBRID
    from item_embed.evaluation.learners.whitened import FUSED
    from item_embed.evaluation.learners.whitened import PREFIX as WHITENED

    for prefix in (HYBRID, WHITENED, FUSED):
        if name.startswith(prefix):
            return [f"{prefix}{model}" for model in models_of(name.removeprefix(prefix))]
    if not name.startswith(PREFIX):
        return [name]
    return [f"{PREFIX}{source}" for source in name.removeprefix(PREFIX).split(",")]


def check_settings(chosen: "Learner", config: RunConfig) -> None:
    """Refuse a variant of ITEm with a setting that is unknown or out of range, before anything is trained.

    Raises:
        ConfigError: naming the setting.
    """
    from item_embed.evaluation.learners.hybrid import Hybrid
    from item_embed.evaluation.learners.item import Item
    from item_embed.evaluation.learners.whitened import Whitened

    if isinstance(chosen, Hybrid | Whitened):
        check_settings(chosen.method, config)
    if isinstance(chosen, Item):
        chosen.changed(config)


def learner(name: str) -> "Learner":
    """The learner of a name.

    Raises:
        ConfigError: when there is none, listing those that there are.

    Examples:
        >>> learner("clip").sees
        'both'
    """
    from item_embed.evaluation.learners import (
        clip,
        concatenation,
        frozen,
        hashes,
        hybrid,
        item,
        resnet,
        roberta,
        supervised,
        whitened,
    )

    if name.startswith(hybrid.PREFIX):
        return _hybrid(name)
    if name.startswith((whitened.PREFIX, whitened.FUSED)):
        return _whitened(name)
    if name.startswith(frozen.PREFIX):
        return frozen.Frozen.named(name)
    if name in item.VARIANTS or name.startswith(item.PREFIX):
        return item.Item.named(name)
    kinds = (
        hashes.PerceptualHash,
        resnet.ResNet,
        resnet.ResNetOnCategories,
        roberta.Roberta,
        roberta.RobertaOnCategories,
        clip.Clip,
        concatenation.Concatenation,
        supervised.Supervised,
    )
    for kind in kinds:
        if kind.name == name:
            return kind()
    known = (*METHODS, *NAMES)
    close = get_close_matches(name, known, n=1)
    meant = f"; do you mean {close[0]}? There are" if close else "; there are"
    raise ConfigError(f"there is no method {name!r}{meant} {', '.join((*known, *PATTERNS))}.")


def _hybrid(name: str) -> "Learner":
    from item_embed.evaluation.learners.hybrid import PREFIX, Hybrid

    method = name.removeprefix(PREFIX)
    if method in METHODS:
        raise ConfigError(f"{method} has no vectors to search together with words; name it as it is.")
    if method.startswith(PREFIX):
        raise ConfigError(f"{name!r} would be joined with words twice; name {method}.")
    chosen = Hybrid(learner(method))
    if chosen.sees == "image":
        raise ConfigError(f"{method} sees photos alone, which `item search` compares no words with; name it as it is.")
    return chosen


def _whitened(name: str) -> "Learner":
    from item_embed.evaluation.learners.hybrid import PREFIX as HYBRID
    from item_embed.evaluation.learners.whitened import FUSED, PREFIX, Whitened

    prefix = FUSED if name.startswith(FUSED) else PREFIX
    method = name.removeprefix(prefix)
    if method in METHODS:
        raise ConfigError(f"{method} has no vectors to whiten; name it as it is.")
    if method.startswith(HYBRID):
        raise ConfigError(f"{name!r} would whiten a ranking; name {HYBRID}{prefix}{method.removeprefix(HYBRID)}.")
    if method.startswith((PREFIX, FUSED)):
        raise ConfigError(f"{name!r} would be whitened twice; name {method}.")
    chosen = Whitened(learner(method), late_fusion=prefix == FUSED)
    if chosen.late_fusion and chosen.sees != "both":
        raise ConfigError(
            f"{method} sees one side of a product alone: there is nothing to fuse; name {PREFIX}{method}."
        )
    return chosen
