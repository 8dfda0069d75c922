"""What a task of `item evaluate` found, and how it is told: to a script, on a terminal, on a page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from item_embed.cli.evaluating.request import Request, show
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Section, Table


@dataclass(frozen=True)
class Outcome:
    """What a task found.

    Attributes:
        summary: in one sentence.
        as_json: makes the object for scripts.
        make_tables: makes the tables.
        make_section: makes the section of the page out of the tables and the summary.
    """

    summary: str
    as_json: Callable[[], dict[str, Any]]
    make_tables: "Callable[[], list[Table]]"
    make_section: "Callable[[list[Table], str], Section]"

    @cached_property
    def tables(self) -> "list[Table]":
        """The tables, made once for terminal and page."""
        return self.make_tables()


def counted(queries: "QuerySet", one: str = "query", several: str = "queries") -> str:
    """How many queries there are, and that they are simulated where they are."""
    relisted = queries.protocol == "relistings"
    return number_of(len(queries), "simulated relisting") if relisted else number_of(len(queries), one, several)


def tell(outcome: Outcome, page: str = "") -> None:
    """Print a task's tables and its summary, and where the page is."""
    show(outcome.tables)
    print(f"{outcome.summary}{page}", flush=True)


def write_page(
    request: Request, catalog: "Catalog", outcomes: Mapping[str, Outcome], left_out: Mapping[str, str] | None = None
) -> None:
    """Write the page, where one was asked for."""
    if request.html is None:
        return
    from item_embed.evaluation.report import write_report

    log = Path(request.model).parent / "metrics.jsonl"  # a model lies in its run's folder
    write_report(
        request.html,
        f"{request.model} on {catalog.path.name}",
        metrics_file=log if log.is_file() else None,
        sections=[outcome.make_section(outcome.tables, outcome.summary) for outcome in outcomes.values()],
        left_out=left_out,
    )
