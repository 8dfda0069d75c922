"""Pairs of listings to be judged, and what was said of them, kept where `item duplicates --answers` reads it.

DIR/answers.csv   id, other_id, same, stratum, stratum_pairs: as the page of `item duplicates --sample` saves it

Pairs are drawn by strata of cosine, in an order of chance (`search.duplicates.sample`): any beginning of them is a
sample, so that what is estimated from the answers holds for the catalogue.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from item_embed.errors import VectorError
from item_embed.files import whole_file
from item_embed.search.duplicates.graph import Graph
from item_embed.search.duplicates.judged import COLUMNS, STRATUM, pairs_of_listings
from item_embed.search.duplicates.sample import draw_sample
from item_embed.search.index import ProductIndex

ANSWERS_FILE = "answers.csv"
_MOST = 1000  # pairs: some hours of one person
_HEADER = (*COLUMNS, *STRATUM)

Answer = Literal["yes", "no", "unsure"]


@dataclass(frozen=True)
class AskedPair:
    """Two listings.

    Attributes:
        key: names the pair.
        ids: of the two.
        cosine: of their vectors.
        stratum: which band of cosine it is of.
        stratum_pairs: how many near pairs of the index that band has.
    """

    key: str
    ids: tuple[str, str]
    cosine: float
    stratum: int
    stratum_pairs: int


class Review:
    """Pairs to be judged, and the answers.

    Args:
        pairs: in the order in which they are asked.
        file: where answers are kept; those that are there already are known.

    Raises:
        VectorError: when the file is there and cannot be read.
    """

    def __init__(self, pairs: Sequence[AskedPair], file: Path) -> None:
        self.pairs = tuple(pairs)
        self._place = {pair.key: place for place, pair in enumerate(self.pairs)}
        self._file = file
        self._rows = _read(file)

    @classmethod
    def open(cls, folder: Path, index: ProductIndex) -> "Review":
        """The pairs of an index, by what `item duplicates` wrote into a folder.

        Raises:
            VectorError: when the folder is damaged, or belongs to another index.
        """
        graph = Graph.read(folder / "graph")
        ids = graph.snapshot.ids
        drawn = draw_sample(pairs_of_listings(graph), _MOST, graph.floor)
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
                strict=True,
            )
            if pair[0] in there and pair[1] in there
        ]
        return cls(pairs, folder / ANSWERS_FILE)

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, key: str) -> AskedPair | None:
        """The pair of that name, or None."""
        place = self._place.get(key)
        return None if place is None else self.pairs[place]

    def answer(self, pair: AskedPair) -> Answer | None:
        """What was said of a pair."""
        said = self._rows.get(pair.ids, {}).get("same", "")
        return cast("Answer", said) if said in get_args(Answer) else None

    @property
    def answered(self) -> int:
        """How many pairs have an answer."""
        return sum(self.answer(pair) is not None for pair in self.pairs)

    def say(self, pair: AskedPair, answer: Answer | None) -> None:
        """Keep an answer, or forget it: on the disk when this returns.

        Raises:
            OutputError: when the file cannot be written; the answer is then not kept.
        """
        rows = {ids: row for ids, row in self._rows.items() if ids != pair.ids}
        if answer is not None:
            first, second = pair.ids
            values = (first, second, answer, str(pair.stratum), str(pair.stratum_pairs))
            rows[pair.ids] = dict(zip(_HEADER, values, strict=True))
        with whole_file(self._file) as aside, aside.open("w", encoding="utf8", newline="") as file:
            writer = csv.DictWriter(file, _HEADER, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows.values())
        self._rows = rows


def _key(first: str, second: str) -> str:
    return hashlib.sha256(json.dumps([first, second]).encode()).hexdigest()[:16]


def _read(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of a file of answers, by pair; none where there is no file."""
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, restval="")
            rows = list(reader)
        return {(row["id"], row["other_id"]): row for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        raise VectorError(
            f"{file} cannot be read; it must be CSV in UTF-8 with {', '.join(COLUMNS)}, or be moved away."
        ) from None
