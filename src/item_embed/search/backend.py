"""What `ProductIndex` asks of a store: the same of a folder's (`store.py`, `nearest.py`) as of PostgreSQL's."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from item_embed.progress import OnProgress, silent
from item_embed.search.conditions import Condition
from item_embed.search.held import Nearest
from item_embed.search.items import Changes, Item
from item_embed.search.manifest import IndexManifest
from item_embed.search.records import Record, Seen


class Truth(Protocol):
    """Products by row: a number that one of them has as long as it does not change.

    What reads belongs between `with reading()`, what changes between `writing`.
    """

    def close(self) -> None:
        """Close files and connections."""

    def reading(self) -> AbstractContextManager[None]:
        """See one state throughout, whatever others write meanwhile."""

    def writing(self) -> AbstractContextManager[None]:
        """Change all or nothing; when it ends without an error, all is on the disk."""

    def manifest(self) -> IndexManifest:
        """Where the vectors come from."""

    def condition(self, text: str, fields: Collection[str] = ()) -> Condition:
        """A filter as a condition; FilterError when it cannot be read, or names what no product has.

        `fields` are the feed's columns: of one that is empty in all products it is told that it is there.
        """

    def rows_by_title(self, title: str, limit: int, where: Condition | None) -> NDArray[np.int64]:
        """The rows whose titles share words with a title, best first: by BM25, equal ones by tie key."""

    def shown(self, rows: Collection[int]) -> dict[int, dict[str, Any]]:
        """What a hit shows of some rows, but for its score, by row."""

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Whole products, by id; those that are not there are left out."""

    def items_without_photos(self, ids: Sequence[str]) -> dict[str, tuple[Item, bool]]:
        """Products by id, each with whether it has a photo: that is not read. Those that are not there are left out."""

    def photo(self, key: str) -> bytes | None:
        """The photo of the product with an id, or None."""

    def ids(self) -> list[str]:
        """The ids of all products."""

    def seen(self, ids: Sequence[str]) -> dict[str, Seen]:
        """The vectors of products with what they were made of, by id; those that are not there are left out."""

    def scan(self, block: int, dimension: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield ids and vectors (b, d) by row, all of one state, through a connection of its own."""

    def write_manifest(self, manifest: IndexManifest) -> None:
        """Say where the vectors come from."""

    def put(self, records: Sequence[Record], photos: Callable[[list[int]], Sequence[bytes | None]]) -> Changes:
        """Add products, or replace those of the same ids; `photos` gives those of some places that have changed."""

    def remove(self, ids: Sequence[str]) -> Changes:
        """Remove products; ids that are not there are left alone."""


class Neighbours(Protocol):
    """The search by vector over a truth."""

    def __len__(self) -> int: ...

    def catch_up(self) -> None:
        """Come into step with the truth; to be called while it is read."""

    def search(self, queries: NDArray[np.float32], k: int, where: Condition | None = None) -> Nearest:
        """The k nearest rows of every query (Q, d) for which a condition holds; equal scores by tie key."""

    def fold(self, on_progress: OnProgress = silent) -> None:
        """After a change, do what keeps the search fast."""
