"""What commands show: progress and remarks on stderr, results on stdout."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from item_embed.progress import OnProgress

_PLAIN_SECONDS = 10.0  # between lines of progress where stderr is no terminal
_PLAIN_WIDTH = 160  # columns of a table where stdout is no terminal


@contextmanager
def progress(label: str) -> Iterator[OnProgress]:
    """Show how far long work is: a bar with rate and time left on a terminal, a line now and then when piped.

    Args:
        label: what is being done, as "Checking rows".

    Example:
        >>> with progress("Checking rows") as on_progress:  # doctest: +SKIP
        ...     prepare("feed.csv", "catalog", on_progress=on_progress)
    """
    with _bar(label) if sys.stderr.isatty() else _lines(label) as on_progress:
        yield on_progress


def say(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Write a table to stdout; the first column is aligned left, the others right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH).print(drawn)


def print_json(value: Any) -> None:
    """Write one JSON value to stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def _bar(label: str) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=None, rate="")
        started = time.monotonic()

        def on_progress(done: int, total: int | None) -> None:
            shown.update(task, completed=done, total=total, rate=_rate(done, time.monotonic() - started))

        yield on_progress


@contextmanager
def _lines(label: str) -> Iterator[OnProgress]:
    started = last = time.monotonic()

    def on_progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _PLAIN_SECONDS:
            return
        last = now
        of_total = f" of {total:,}" if total else ""
        left = f", {_duration((now - started) * (total - done) / done)} left" if total and done else ""
        say(f"{label}: {done:,}{of_total}, {_rate(done, now - started)}{left}")

    yield on_progress


def _rate(done: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
