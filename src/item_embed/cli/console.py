"""What commands show: progress and remarks on stderr, results on stdout."""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from item_embed.progress import OnProgress

_PLAIN_SECONDS = 10.0  # between lines of progress where stderr is no terminal
_NUMBER = re.compile(r"^[-+]?[\d,.]+( \[.*\])?$")  # with or without its interval
_PLAIN_WIDTH = 160  # columns of a table where stdout is no terminal


@contextmanager
def progress(label: str) -> Iterator[OnProgress]:
    """Show how far long work is: a bar with rate and time left on a terminal, a line now and then when piped.

    Args:
        label: what is being done, as "checking rows".

    Examples:
        >>> with progress("checking rows") as on_progress:  # doctest: +SKIP
        ...     prepare("feed.csv", "catalog", on_progress=on_progress)
    """
    with _bar(label) if sys.stderr.isatty() else _lines(label) as on_progress:
        yield on_progress


def check_page(path: Path | None) -> None:
    """Refuse an output of `--html` before the work: a page may be replaced, any other file may not.

    Raises:
        OutputError: saying which, and the mend.
    """
    from item_embed.files import OutputError, check_output

    if path is None:
        return
    if not path.is_file():
        check_output(path, "--html")
        return
    with path.open("rb") as file:
        if not file.read(100).lstrip().lower().startswith(b"<!doctype html"):
            raise OutputError(f"--html {path} exists and is no HTML page; choose another name.")


def say(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Write a table to stdout; columns of numbers are aligned right, others left."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        numbers = all(_NUMBER.match(row[number]) for row in rows)
        drawn.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH).print(drawn)


def print_json(value: Any) -> None:
    """Write one JSON value to stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


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
        pace = _Pace()

        def on_progress(done: int, total: int | None) -> None:
            shown.update(task, completed=done, total=total, rate=pace.rate(done, time.monotonic()))

        yield on_progress


@contextmanager
def _lines(label: str) -> Iterator[OnProgress]:
    last = time.monotonic()
    pace = _Pace()

    def on_progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        rate = pace.rate(done, now)
        if now - last < _PLAIN_SECONDS:
            return
        last = now
        of_total = f" of {total:,}" if total else ""
        left = f", {_duration((total - done) / pace.per_second)} left" if total and pace.per_second else ""
        say(f"{label}: {done:,}{of_total}{', ' if rate else ''}{rate}{left}")

    yield on_progress


class _Pace:
    """How fast work goes since its first report: resumed work begins with what was done before."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self.per_second = 0.0

    def rate(self, done: int, now: float) -> str:
        if self._first is None:
            self._first = done, now
        first, began = self._first
        if done == first:
            return ""
        self.per_second = (done - first) / max(now - began, 1e-9)
        if self.per_second < 1:
            each = 1 / self.per_second
            return f"{each:.1f} s each" if each < 60 else f"{_duration(each)} each"
        return f"{self.per_second:,.0f}/s" if self.per_second >= 10 else f"{self.per_second:.1f}/s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
