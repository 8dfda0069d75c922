"""Titles ranked by words as a hybrid search ranks them, without an index of the user's: for evaluation."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from item_embed.search import database
from item_embed.search.records import Record
from item_embed.search.store import Store

_PART = 4096  # titles that are written at once


class TitleWords:
    """The titles of N products in the store of an index, which is temporary: closing it removes it.

    Args:
        ids: the N ids, which order titles that rank alike.
        titles: the N titles, or None.

    Raises:
        OutputError: when the folder for temporary files is full.

    Examples:
        >>> with TitleWords(["a", "b"], ["red mug", "blue cup"]) as words:
        ...     words.rows("a blue mug, blue", 5).tolist()
        [1, 0]
    """

    def __init__(self, ids: Sequence[str], titles: Sequence[str | None]) -> None:
        self._folder = TemporaryDirectory(prefix="item-words-")
        folder, nothing = Path(self._folder.name), np.empty(0, np.float32)
        self._store = Store(folder, database.create(folder, folder), folder)
        with self._store.writing():
            for start in range(0, len(ids), _PART):
                part = slice(start, start + _PART)
                pairs = zip(ids[part], titles[part], strict=True)
                self._store.put([Record(key, title, None, None, {}, None, nothing) for key, title in pairs], _no_photos)

    def rows(self, title: str, limit: int) -> NDArray[np.int64]:
        """The products whose titles share words with a title, (n,) counted from 0, best first: `Store.rows_by_title`.

        Args:
            title: words; what else is in it counts for nothing.
            limit: how many products at most.
        """
        with self._store.reading():
            return self._store.rows_by_title(title, limit, None) - 1  # a new store counts its rows from 1 on

    def __enter__(self) -> "TitleWords":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove all."""
        self._store.close()
        self._folder.cleanup()


def _no_photos(_: list[int]) -> list[bytes | None]:
    return []
