"""What becomes of rows once all are known: which ids are taken, who belongs to whom, which split each falls into."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.grouping import Groups, first_of_each, numbered, split_groups, without_placeholders
from item_embed.catalog.spool import Fate, SpooledKeys


@dataclass(frozen=True)
class Settled:
    """The fates of a feed's rows.

    Attributes:
        fates: of all rows, places in `Fate`, (n,).
        groups: of the kept rows, (kept,).
        splits: of the kept rows, places in `SPLITS`, (kept,).
        changes: how many kept rows are new, changed, unchanged, retried: by `Change`.
    """

    fates: NDArray[np.uint8]
    groups: NDArray[np.int64]
    splits: NDArray[np.int8]
    changes: tuple[int, ...]


def settle(keys: SpooledKeys, seed: int) -> Settled:
    """Settle the fates of all rows.

    Of rows with one id the first is kept. Kept rows are grouped by product, normalised title, photo and the column that
    the user named, and dealt to the splits by group.

    Args:
        keys: of all rows.
        seed: of the splits.
    """
    fates = _fates(keys)
    kept = np.flatnonzero(fates == Fate.KEPT)
    groups = Groups(len(kept))
    groups.join(keys.column("product_id")[kept])
    groups.join(keys.column("title")[kept])
    groups.join(without_placeholders(keys.column("photo")[kept], keys.column("title")[kept]))
    groups.join(keys.column("group")[kept])
    smallest = groups.smallest(keys.column("id")[kept])
    changes = np.bincount(keys.column("change")[kept], minlength=4)
    return Settled(fates, numbered(smallest), split_groups(smallest, seed), tuple(changes.tolist()))


def _fates(keys: SpooledKeys) -> NDArray[np.uint8]:
    kept = keys.column("kept")
    fates = np.where(kept, Fate.KEPT, Fate.SET_ASIDE).astype(np.uint8)
    rows = np.flatnonzero(kept)
    first = first_of_each(keys.column("id")[rows], keys.column("id_check")[rows])
    again = np.flatnonzero(first != np.arange(len(rows)))
    source = keys.column("source")
    same = source[rows[again]] == source[rows[first[again]]]
    fates[rows[again]] = np.where(same, Fate.SAME_ID_SAME_CONTENT, Fate.SAME_ID_DIFFERENT_CONTENT)
    return fates
