"""What `item evaluate` was asked for."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from item_embed.cli.console import table
from item_embed.embedding.seen import Modalities

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Table

_NOT_GIVEN = {None, False}
#: The options that only some tasks have a use for.
OPTIONS = (
    "queries",
    "relist",
    "modalities",
    "split",
    "vectors",
    "baselines",
    "hybrid",
    "mask_shared_words",
    "fine_tune",
    "sample",
    "by",
    "variants",
    "probabilities",
    "batch_size",
    "device",
)


class Split(StrEnum):
    """Where the queries come from."""

    ALL = "all"
    VALIDATION = "validation"
    TEST = "test"


class SharedWords(StrEnum):
    """Which of the words that all listings of a product have are masked."""

    NAMES = "names"
    ALL = "all"


@dataclass(frozen=True)
class Request:
    """The options; None, or False, where one was not given."""

    model: str
    as_json: bool = False
    html: Path | None = None
    card: bool = False
    seed: int = 0
    queries: Path | None = None
    relist: int | None = None
    modalities: Modalities | None = None
    split: Split | None = None
    vectors: str | None = None
    baselines: bool = False
    hybrid: bool = False
    mask_shared_words: SharedWords | None = None
    fine_tune: bool = False
    sample: int | None = None
    by: str | None = None
    variants: str | None = None
    probabilities: Path | None = None
    batch_size: int | None = None
    device: str | None = None

    def refuse(self, where: str, *names: str) -> None:
        """Refuse options that would be ignored: figures are of what was asked for, or there are none."""
        from item_embed.errors import ConfigError

        for name in names:
            if getattr(self, name) not in _NOT_GIVEN:
                raise ConfigError(f"--{name.replace('_', '-')} has no meaning for {where}; leave it out.")

    def without(self, *names: str) -> "Request":
        """The same request as if some of `OPTIONS` had not been given."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self)}
        return replace(self, **{name: defaults[name] for name in names})

    @property
    def page(self) -> str:
        """The last words of a summary: where the page is."""
        return f" Page in {self.html}." if self.html else ""


def queries_of(request: Request, catalog: "Catalog", default: str) -> "QuerySet":
    """The queries asked for: those of a file, simulated relistings of a split (by default `default`), its listings."""
    from item_embed.evaluation.asked import Asked

    refuse_two_sources(request.queries, request.relist, split=request.split is not None)
    return Asked(request.queries, request.relist, request.split or default, request.seed).queries(catalog)


def refuse_two_sources(queries: Path | None, relist: int | None, *, split: bool) -> None:
    """Refuse a file of queries together with what makes others; `split`: whether --split was given."""
    from item_embed.errors import ConfigError

    if queries is not None and relist is not None:
        raise ConfigError("--queries brings its own queries and --relist makes some; leave one of them out.")
    if queries is not None and split:
        raise ConfigError("--split chooses rows of the catalogue and --queries brings its own; leave one of them out.")


def show(tables: "list[Table]") -> None:
    """Print tables with their notes."""
    for shown in tables:
        table(shown.title, list(shown.columns), [list(row) for row in shown.rows])
        if shown.note:
            print(shown.note)
