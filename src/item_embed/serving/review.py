"""Pairs of listings to be judged, and what was said of them, kept where `item duplicates --answers` reads it.

DIR/answers.csv   id, other_id, same, stratum, stratum_pairs: as the page of `item duplicates --sample` saves it;
                  further columns of the user stay

Pairs are drawn by strata of cosine, in an order of chance (`search.duplicates.sample`): any beginning of them is a
sample, so that what is estimated from the answers holds for the catalogue. Where variants are different products
(`item duplicates --variants COLUMN different`) their pairs are not asked, as they are not counted.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.titles import clean_key
from item_embed.errors import VectorError
from item_embed.files import whole_file
from item_embed.search.duplicates.graph import Graph
from item_embed.search.duplicates.judged import ANSWERS, COLUMNS, STRATUM, Answer, RowPairs, pairs_of_listings, said
from item_embed.search.duplicates.listings import codes_of, read_column
from item_embed.search.duplicates.sample import draw_sample
from item_embed.search.duplicates.settings import Variants
from item_embed.search.index import ProductIndex

ANSWERS_FILE = "answers.csv"
_MOST = 1000  # pairs: some hours of one person
_HEADER = (*COLUMNS, *STRATUM)

_Ends = frozenset[str | None]  # of a pair, whichever is named first


@dataclass(frozen=True)
class AskedPair:
    """Two listings.

    Attributes:
        key: names the pair.
        ids: of the two.
        cosine: of their vectors.
        stratum: which band of cosine it is of.
        stratum_pairs: how many near pairs of the index that band has.
        variants: whether they differ in the column of the review's variants.
    """

    key: str
    ids: tuple[str, str]
    cosine: float
    stratum: int
    stratum_pairs: int
    variants: bool = False


class Review:
    """Pairs to be judged, and the answers.

    Args:
        pairs: in the order in which they are asked.
        file: where answers are kept; those that are there already are known.
        variants: the column by whose values listings are variants, and what these count as.

    Raises:
        VectorError: when the file is there and cannot be read.
    """

    def __init__(self, pairs: Sequence[AskedPair], file: Path, variants: Variants | None = None) -> None:
        self.pairs, self.variants = tuple(pairs), variants
        self._place = {pair.key: place for place, pair in enumerate(self.pairs)}
        self._file = file
        self._columns, self._rows = _read(file)

    @classmethod
    def open(cls, folder: Path, index: ProductIndex) -> "Review":
        """The pairs of an index, by what `item duplicates` wrote into a folder.

        Raises:
            VectorError: when the folder is damaged, or belongs to another index.
        """
        graph, variants = Graph.read(folder / "graph"), Variants.read(folder)
        ids = graph.snapshot.ids
        near = pairs_of_listings(graph)
        values = None if variants is None else _values(near, ids, index, variants.column)
        if variants is not None and not variants.same:
            near = near.subset(~near.unlike(values))
        drawn = draw_sample(near, _MOST, graph.floor)
        ends = [(ids[a], ids[b]) for a, b in zip(drawn.pairs.first.tolist(), drawn.pairs.second.tolist(), strict=True)]
        there = index.items_without_photos(list({key for pair in ends for key in pair}))
        if ends and not there:
            raise VectorError(f"the listings of {folder} are not in {index.path}; run `item duplicates` on this index.")
        pairs = [
            AskedPair(_key(*pair), pair, *numbers)
            for pair, *numbers in zip(
                ends,
                drawn.pairs.cosine.tolist(),
                drawn.stratum.tolist(),
                drawn.stratum_pairs.tolist(),
                drawn.pairs.unlike(values).tolist(),
                strict=True,
            )
            if pair[0] in there and pair[1] in there
        ]
        return cls(pairs, folder / ANSWERS_FILE, variants)

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, key: str) -> AskedPair | None:
        """The pair of that name, or None."""
        place = self._place.get(key)
        return None if place is None else self.pairs[place]

    def answer(self, pair: AskedPair) -> Answer | None:
        """What was said of a pair."""
        rows = self._rows.get(frozenset(pair.ids))
        return ANSWERS.get(said(rows[-1].get("same"))) if rows else None

    @property
    def answered(self) -> int:
        """How many pairs have an answer."""
        return sum(self.answer(pair) is not None for pair in self.pairs)

    def say(self, pair: AskedPair, answer: Answer | None) -> None:
        """Keep an answer, or forget it: on the disk when this returns.

        Raises:
            OutputError: when the file cannot be written; the answer is then not kept.
        """
        ends = frozenset(pair.ids)
        told = {"same": answer or "", "stratum": str(pair.stratum), "stratum_pairs": str(pair.stratum_pairs)}
        known = self._rows.get(ends) or [{"id": pair.ids[0], "other_id": pair.ids[1]}]
        rows = {**self._rows, ends: [row | told for row in known]}
        with whole_file(self._file) as aside, aside.open("w", encoding="utf8", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for several in rows.values() for row in several)
        self._rows = rows


def _key(first: str, second: str) -> str:
    return hashlib.sha256(json.dumps([first, second]).encode()).hexdigest()[:16]


def _values(pairs: RowPairs, ids: list[str], index: ProductIndex, column: str) -> NDArray[np.int64]:
    """A number for each value that the listings of some pairs have in a column, (N,); -1 for all others."""
    rows = np.union1d(pairs.first, pairs.second)
    values = np.full(len(ids), -1, np.int64)
    values[rows] = codes_of(read_column(index, [ids[row] for row in rows], column))
    return values


def _read(file: Path) -> tuple[list[str], dict[_Ends, list[dict[str, str]]]]:
    """The columns of a file of answers, and its rows by pair; none where there is no file."""
    columns, rows = [*_HEADER], dict[_Ends, list[dict[str, str]]]()
    if not file.is_file():
        return columns, rows
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, restval="")
            for row in reader:
                rows.setdefault(frozenset((clean_key(row["id"]), clean_key(row["other_id"]))), []).append(row)
        return list(dict.fromkeys((*(reader.fieldnames or ()), *_HEADER))), rows
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        raise VectorError(
            f"{file} cannot be read; it must be CSV in UTF-8 with {', '.join(COLUMNS)}, or be moved away."
        ) from None
