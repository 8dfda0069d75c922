"""`--card`: what was measured, written into the model's card."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import say
from item_embed.cli.evaluating.outcome import Outcome
from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject
from item_embed.cli.evaluating.tasks import TASKS

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog

# Options that decide what the figures are of, and so which table of the card they replace.
_DECIDING = ("queries", "relist", "modalities", "split", "mask_shared_words", "sample")


def write_card(request: Request, subject: Subject, outcomes: Mapping[str, Outcome]) -> None:
    """Write the first table of each task, which is of all queries, into the model's card, where that was asked for."""
    if not request.card:
        return
    from item_embed.model.card import CARD_FILE, add_table

    for name, outcome in outcomes.items():
        table = outcome.tables[0]
        notes = [note for note in (table.note, *outcome.as_json().get("remarks", [])) if note]
        add_table(subject.folder, _heading(request, subject.catalog, name), table.columns, table.rows, notes)
    say(f"card: {subject.folder / CARD_FILE}")


def _heading(request: Request, catalog: "Catalog", task: str) -> str:
    """What is measured on what, as "same-product on shop (13330706f8f3) --split all"."""
    given = [(name, getattr(request, name)) for name in _DECIDING if name in TASKS[task].reads]
    shown = [_option(name, value) for name, value in given if value]
    return f"{task} on {catalog.path.resolve().name} ({catalog.fingerprint[:12]}){''.join(shown)}"


def _option(name: str, value: object) -> str:
    option = f" --{name.replace('_', '-')}"
    return option if value is True else f"{option} {value.name if isinstance(value, Path) else value}"
