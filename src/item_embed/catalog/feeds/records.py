"""What every kind of feed file yields: one record for each row, none left out."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a feed file.

    Attributes:
        values: the feed's columns by name; a column that the row lacks is absent.
        repairs: the names of what reading already mended.
        problem: why the row cannot be used, or None; `values` then holds what could be read of it.
    """

    values: dict[str, Any]
    repairs: tuple[str, ...] = ()
    problem: str | None = None
