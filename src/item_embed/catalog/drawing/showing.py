"""Where each attribute of a product shows: in photos, in titles, in both or in neither."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from item_embed.errors import ConfigError

CHANNELS = ("photo", "title", "both", "neither")


@dataclass(frozen=True)
class Showing:
    """For each attribute of a product, what tells it.

    Photos show a brand as a sign, a colour as paint, a material as a finish, a shape as proportions, a size or a model
    number on a paper tag. No photo can show a line or a style. What is hidden from photos looks alike in all of them;
    what is hidden from titles is written in none of them, in no words. The kind of product is told by both, always.

    Attributes:
        brand, line, model, colour, pattern, material, size, style, shape: "photo", "title", "both" or "neither".
        mention: share of titles that tell what titles can tell, or None for each seller's own habit.

    Raises:
        ConfigError: naming the attribute or option and what it may be.

    Examples:
        >>> sorted(Showing(size="both").photo - Showing().photo)
        ['size']
    """

    brand: str = "both"
    line: str = "title"
    model: str = "title"
    colour: str = "both"
    pattern: str = "both"
    material: str = "both"
    size: str = "title"
    style: str = "title"
    shape: str = "photo"
    mention: float | None = None

    def __post_init__(self) -> None:
        for attribute in ATTRIBUTES:
            allowed = CHANNELS if attribute not in _UNSEEN else ("title", "neither")
            if (channel := getattr(self, attribute)) not in allowed:
                choices = _listed(allowed)
                raise ConfigError(f"{attribute} cannot show in {channel!r}; choose {choices} for --show {attribute}.")
        if self.mention is not None and not 0 <= self.mention <= 1:
            raise ConfigError(f"titles cannot mention a share of {self.mention}; give --mention a number from 0 to 1.")

    @cached_property
    def photo(self) -> frozenset[str]:
        """The attributes that photos show."""
        return frozenset(name for name in ATTRIBUTES if getattr(self, name) in {"photo", "both"})

    @cached_property
    def title(self) -> frozenset[str]:
        """The attributes that titles can tell."""
        return frozenset(name for name in ATTRIBUTES if getattr(self, name) in {"title", "both"})


#: The attributes by which products differ, in the order in which they are reported.
ATTRIBUTES = tuple(field.name for field in fields(Showing) if field.name != "mention")
_UNSEEN = ("line", "style")

#: What `--dominance` offers.
PRESETS: Mapping[str, Showing] = {
    # A usual shop: much is told twice, some things by the photo or by the title only.
    "mixed": Showing(),
    # The photo tells nearly all, the title what a thing is for.
    "image": Showing(brand="photo", line="neither", model="neither", colour="photo", pattern="photo", material="photo"),
    # Grey things of one shape, told apart by their finish at most; whole titles.
    "title": Showing(brand="title", model="title", colour="title", pattern="neither", shape="neither", mention=0.8),
    # Half of it here, half of it there, and nothing twice.
    "balanced": Showing(
        brand="title", model="neither", colour="photo", pattern="neither", material="photo", shape="neither"
    ),
}


def choose(dominance: str = "mixed", show: Sequence[str] = (), mention: float | None = None) -> Showing:
    """A preset with changes, as the command line names them.

    Args:
        dominance: one of `PRESETS`.
        show: changes, each as "attribute=channel".
        mention: see `Showing`; None leaves it as the preset has it.

    Raises:
        ConfigError: when a name or a value is not known.

    Examples:
        >>> choose("image", ["colour=both"]).colour
        'both'
    """
    if dominance not in PRESETS:
        raise ConfigError(f"there is no dominance {dominance!r}; choose {_listed(PRESETS)} for --dominance.")
    changes: dict[str, Any] = {}
    for change in show:
        attribute, equals, channel = change.partition("=")
        if not equals:
            raise ConfigError(f"--show {change} has no channel; write it as --show colour=photo.")
        if attribute not in ATTRIBUTES:
            raise ConfigError(f"there is no attribute {attribute!r} to show; choose {_listed(ATTRIBUTES)} for --show.")
        if changes.setdefault(attribute, channel) != channel:
            raise ConfigError(f"--show gives {attribute} two channels, {changes[attribute]} and {channel}; give one.")
    if mention is not None:
        changes["mention"] = mention
    return replace(PRESETS[dominance], **changes)


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
