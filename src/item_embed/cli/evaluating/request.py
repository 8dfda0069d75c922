"""What `item evaluate` was asked for, and how its tasks speak."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import table
from item_embed.embedding.seen import Modalities

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Table


class Split(StrEnum):
    """Where the queries come from."""

    ALL = "all"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Request:
    """The options; None where one was not given."""

    model: str
    queries: Path | None
    modalities: Modalities | None
    split: Split | None
    vectors: Path | None
    baselines: bool
    fine_tune: bool
    sample: int | None
    by: str | None
    variants: str | None
    as_json: bool
    html: Path | None
    seed: int
    batch_size: int | None
    device: str | None

    def refuse(self, where: str, *names: str) -> None:
        """Refuse options that would be ignored: figures are of what was asked for, or there are none."""
        from item_embed.errors import ConfigError

        for name in names:
            if getattr(self, name) not in {None, False}:
                raise ConfigError(f"--{name.replace('_', '-')} has no meaning for {where}; leave it out.")

    @property
    def page(self) -> str:
        """The last words of a summary: where the page is."""
        return f" Page in {self.html}." if self.html else ""


def queries_of(request: Request, catalog: "Catalog", default: str) -> "QuerySet":
    """The queries asked for: those of a file, or listings of the catalogue, by default of one split."""
    from item_embed.errors import ConfigError
    from item_embed.evaluation.queries import catalog_queries, given_queries

    if request.queries is None:
        return catalog_queries(catalog, request.split or default)
    if request.split is not None:
        raise ConfigError(
            "--split chooses queries among the catalogue's rows and --queries brings its own; leave one of them out."
        )
    return given_queries(request.queries, catalog)


def show(tables: "list[Table]") -> None:
    """Print tables with their notes."""
    for shown in tables:
        table(shown.title, list(shown.columns), [list(row) for row in shown.rows])
        if shown.note:
            print(shown.note)
