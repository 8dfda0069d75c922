"""`prepare --update`: which rows of the feed the previous catalogue holds already, and which it lacks a photo of."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed import __version__
from item_embed.catalog.feeds.columns import Columns
from item_embed.catalog.schema import Manifest, Update
from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import CLEANING
from item_embed.errors import CatalogError
from item_embed.hashing import text_hash

DOWNLOAD_FAILED = "photo: download: "  # how the repair of a row begins whose photo could not be fetched


class Previous:
    """The rows of a catalogue by their ids: 25 bytes of memory for each.

    Args:
        path: the catalogue.
        columns: of the feed that is prepared now.

    Raises:
        CatalogError: when it was prepared from other columns, or is no catalogue.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        manifest = Manifest.read(path)
        self.fingerprint = manifest.fingerprint
        # Other rules may clean rows in other ways: then all are processed.
        self.is_ours = (manifest.version, manifest.cleaning) == (__version__, CLEANING)
        if manifest.columns != columns.by_role():
            raise CatalogError(
                f"{path} was prepared with other columns ({_differences(manifest.columns, columns.by_role())}), so no "
                "row of it can stay; name the same columns, or prepare it anew with --overwrite."
            )
        ids, sources, failed = array("q"), array("q"), bytearray()
        for batch in Catalog(path).batches(["id", "source", "repairs"]):
            ids.extend(map(text_hash, batch.column("id").to_pylist()))
            sources.extend(batch.column("source").to_pylist())
            for repairs in batch.column("repairs").to_pylist():
                failed.append(any(repair.startswith(DOWNLOAD_FAILED) for repair in repairs))
        self._sources = np.asarray(sources, np.int64)
        self._failed = np.frombuffer(bytes(failed), np.bool_)
        hashes = np.asarray(ids, np.int64)
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    @property
    def identity(self) -> tuple[Path, str, bool]:
        """Where it is, its fingerprint, and whether its rows may stay."""
        return self.path, self.fingerprint, self.is_ours

    def __len__(self) -> int:
        return len(self._sorted)

    def beside(self, changes: Sequence[int]) -> Update:
        """What the update found, from the number of kept rows of each `Change`."""
        new, changed, unchanged, retried = changes
        return Update(
            previous=self.fingerprint,
            new=new,
            changed=changed,
            unchanged=unchanged,
            retried=retried,
            gone=len(self) - changed - unchanged - retried,
        )

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row with each id, (n,); -1 where there is none."""
        hashes = np.array([text_hash(identity) for identity in ids], np.int64)
        place = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        return np.where(self._sorted[place] == hashes, self._order[place], -1)

    def same(self, row: int, source: int) -> bool:
        """Whether the feed says of a row what it said then."""
        return self.is_ours and bool(self._sources[row] == source)

    def failed(self, row: int) -> bool:
        """Whether a row is without a photo because it could not be fetched."""
        return bool(self._failed[row])


def _differences(then: dict[str, str | None], now: dict[str, str | None]) -> str:
    return ", ".join(
        f"{role} ← {then.get(role)}, now {now.get(role)}" for role in now if then.get(role) != now.get(role)
    )
