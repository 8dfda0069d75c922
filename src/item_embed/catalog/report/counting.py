"""One pass over the small columns of a catalogue: what is counted, and the keys by which rows are compared.

Memory is 32 bytes a row, four hashes; everything else has a bound.
"""

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from item_embed.catalog.report.duplicates import NONE
from item_embed.catalog.report.facts import Labels, Named, Spread
from item_embed.catalog.report.languages import script_and_words
from item_embed.catalog.titles import LONGEST_TITLE, normalise_title
from item_embed.hashing import hash64, text_hash

COLUMNS = ("title", "photo_width", "photo_height", "photo_pixels", "category", "product_id", "repairs", "group")
MOST_NAMES = 100_000  # categories and reasons counted by name; where there are more, the column is a wrong one
SHOWN_NAMES = 20
EXAMPLES = 4  # rows of each repair or reason
LONGEST_SIDE = 8192  # pixels; longer photos count as this long
_FEWEST_BARS = 5  # of a histogram, where its edges give as many
_STREAM = text_hash("report")


class NameCounts:
    """Counts names, and remembers for each a few rows that have it, drawn by chance but always the same.

    Args:
        examples: how many rows of each name.
    """

    def __init__(self, examples: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.total = 0
        self.full = False  # whether names were left uncounted
        self._examples = examples
        self._drawn: dict[str, list[tuple[int, int]]] = {}  # name -> (draw, row), the lowest draws

    def add(self, column: pa.Array, rows: NDArray[np.int64]) -> None:
        """Count the values of a column; `rows` are the numbers of the rows that they belong to."""
        encoded = column.dictionary_encode()
        codes = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        sizes = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
        self.total += int(sizes.sum())
        for code, (name, size) in enumerate(zip(encoded.dictionary.to_pylist(), sizes.tolist(), strict=True)):
            if name not in self.counts and len(self.counts) == MOST_NAMES:
                self.full = True
                continue
            self.counts[name] += size
            if self._examples:
                self._draw(name, rows[codes == code])

    def rows(self, name: str) -> list[int]:
        """The rows remembered for a name, in order."""
        return sorted(row for _, row in self._drawn.get(name, ()))

    def labels(self) -> Labels:
        """The counts as a report shows them."""
        return Labels(self.total, None if self.full else len(self.counts), named(self.counts, SHOWN_NAMES))

    def _draw(self, name: str, rows: NDArray[np.int64]) -> None:
        draws = hash64(_STREAM, rows)
        lowest = np.argsort(draws)[: self._examples]
        fresh = zip(draws[lowest].tolist(), rows[lowest].tolist(), strict=True)
        self._drawn[name] = sorted([*self._drawn.get(name, ()), *fresh])[: self._examples]


class RowCounts:
    """What one pass over the rows counts; feed it with `add`, batch by batch, in row order."""

    def __init__(self) -> None:
        self.rows = 0
        self.pairs = 0
        self.words = np.zeros(LONGEST_TITLE + 1, np.int64)  # titles by their number of words
        self.characters = np.zeros(LONGEST_TITLE + 1, np.int64)
        self.short_sides = np.zeros(LONGEST_SIDE + 1, np.int64)  # photos by the length of their short side
        self.scripts: Counter[str] = Counter()
        self.categories = NameCounts()
        self.repairs = NameCounts(EXAMPLES)
        self._keys = {name: array("q") for name in ("title", "photo", "product", "group")}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the next rows; they have the columns `COLUMNS`."""
        rows = np.arange(self.rows, self.rows + len(batch))
        self.rows += len(batch)
        titles = self._add_titles(batch.column("title").to_pylist())
        photos = batch.column("photo_pixels").fill_null(NONE).to_numpy()
        self._add_keys("title", titles)
        self._add_keys("photo", photos)
        self._add_keys("product", [text_hash(one) if one else NONE for one in batch.column("product_id").to_pylist()])
        self._add_keys("group", batch.column("group").to_numpy())
        self.pairs += int(((titles != NONE) & (photos != NONE)).sum())
        sides = np.minimum(*(batch.column(name).fill_null(0).to_numpy() for name in ("photo_width", "photo_height")))
        self.short_sides += _by_value(sides[sides > 0], LONGEST_SIDE)
        self.categories.add(batch.column("category"), rows)
        repairs = batch.column("repairs")
        self.repairs.add(repairs.flatten(), np.repeat(rows, repairs.value_lengths().fill_null(0).to_numpy()))

    def take_keys(self, name: str) -> NDArray[np.int64]:
        """The keys of all rows, `NONE` where a row has none; they are given once, to free their memory."""
        return np.frombuffer(self._keys.pop(name), np.int64)

    def _add_titles(self, titles: Sequence[str | None]) -> NDArray[np.int64]:
        found = [script_and_words(title) for title in titles if title]
        self.scripts.update(script for script, _ in found)
        self.words += _by_value([words for _, words in found], LONGEST_TITLE)
        self.characters += _by_value([len(title) for title in titles if title], LONGEST_TITLE)
        return np.array([text_hash(normalise_title(title)) if title else NONE for title in titles], np.int64)

    def _add_keys(self, name: str, keys: "Sequence[int] | NDArray[np.int64]") -> None:
        self._keys[name].frombytes(np.asarray(keys, np.int64).tobytes())


def named(counts: Counter[str], most: int) -> tuple[Named, ...]:
    """The most frequent names; among equals the alphabet decides."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Named(name, rows) for name, rows in ordered[:most])


def spread(counts: NDArray[np.int64], edges: Sequence[int], unit: float = 1.0) -> Spread:
    """Summarise a whole number that was counted by value.

    Args:
        counts: how many rows have the value 0, 1, 2, …
        edges: where the bars of the histogram start; the last one has no end. Ascending, from 0 or 1.
        unit: what one step of the value means.

    Examples:
        >>> spread(np.array([0, 5, 3]), [0, 1, 2]).median
        1.0
    """
    total = int(counts.sum())
    summed = np.cumsum(counts)
    low, median, high = (
        float(np.searchsorted(summed, max(share * total, 1e-9), side="left")) * unit if total else 0.0
        for share in (0.05, 0.5, 0.95)
    )
    bars = [
        Named(_label(start, end, unit), int(counts[start:end].sum()))
        for start, end in zip(edges, [*edges[1:], None], strict=True)
    ]
    filled = [number for number, bar in enumerate(bars) if bar.rows] or [0]
    margin = max(0, _FEWEST_BARS - len(filled)) // 2  # empty ends show nothing, but one bar alone is no histogram
    bars = bars[max(0, filled[0] - margin) : filled[-1] + 1 + margin]
    return Spread(total, low, median, high, tuple(bars))


def _by_value(values: "Sequence[int] | NDArray[np.int64]", most: int) -> NDArray[np.int64]:
    """How often each value from 0 to `most` occurs; larger ones count as `most`."""
    return np.bincount(np.minimum(np.asarray(values, np.int64), most), minlength=most + 1)


def _label(start: int, end: int | None, unit: float) -> str:
    if end is None:
        return f"{start * unit:,.0f} or more"
    if unit == 1 and end == start + 1:
        return f"{start:,}"
    return f"{start * unit:,.0f} to {(end - (unit == 1)) * unit:,.0f}"
