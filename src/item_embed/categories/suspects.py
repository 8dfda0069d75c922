"""Labels that are probably wrong: rows of which a classifier that did not learn from them says something else, surely.

How sure is sure, each leaf says for itself: as likely as it is, on average, for the rows that are labelled with it
(confident learning: Northcutt et al., 2021, arXiv 1911.00068). A leaf that is hard to tell asks for no more than
its own rows have, and one that is easy for as much.

DIR/labels.parquet   every labelled row, with what was said of it
DIR/suspects.csv     the suspects, the surest first, for a person

Letters in shapes: n rows, L leaves.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.fitting import Fitted
from item_embed.spreadsheet import cell

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("predicted", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("category_probability", pa.float32()),  # null for a leaf that the classifier does not know
        pa.field("suspected", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Labels:
    """Labelled rows with what was said of them.

    Attributes:
        leaves: the leaves of the classifier.
        rows: (n,) of the catalogue.
        given: (n,) the leaf that each is labelled with; -1 for one that the classifier does not know.
        predicted: (n,) the likeliest.
        probability: (n,) its probability.
        own: (n,) the probability of the given leaf; NaN for one that is not known.
        suspected: (n,) whether the label is probably wrong.
    """

    leaves: tuple[str, ...]
    rows: NDArray[np.int64]
    given: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]
    own: NDArray[np.float64]
    suspected: NDArray[np.bool_]

    @property
    def suspects(self) -> NDArray[np.int64]:
        """The suspects' places, (m,): those whose two probabilities lie farthest apart first."""
        found = np.flatnonzero(self.suspected)
        return found[np.argsort(self.own[found] - self.probability[found], kind="stable")]

    def write(self, folder: Path, catalog: Catalog) -> None:
        """Write both files into a folder."""
        table = pa.table(
            [
                [catalog.ids[row] for row in self.rows],
                [catalog.categories[row] for row in self.rows],
                [self.leaves[leaf] for leaf in self.predicted],
                pa.array(self.probability.astype(np.float32)),
                pa.array(self.own.astype(np.float32), mask=np.isnan(self.own)),
                pa.array(self.suspected),
            ],
            schema=SCHEMA,
        )
        pq.write_table(table, folder / "labels.parquet", compression="zstd")
        columns = [name for name in SCHEMA.names if name != "suspected"]
        shown = table.select(columns).take(pa.array(self.suspects)).to_pylist()
        with (folder / "suspects.csv").open("w", encoding="utf8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "title"])
            for place, values in zip(self.suspects, shown, strict=True):
                title = catalog.titles[self.rows[place]]
                writer.writerow(cell(value) for value in (*(values[name] for name in columns), title))


def find_suspects(fitted: Fitted) -> Labels:
    """Every labelled row of which something was said by a classifier that did not learn from it, and the suspects.

    A row of a leaf that the classifier does not know is never a suspect: it could not have said so.

    Examples:
        >>> labels = find_suspects(fit_classifier(catalog, task, vectors, encoder))  # doctest: +SKIP
        >>> [catalog.ids[row] for row in labels.rows[labels.suspects][:3]]           # doctest: +SKIP
        ['10047', '33871', '2205']
    """
    parts = (fitted.fitting, fitted.judging)
    rows, given = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "given"))
    order = np.argsort(rows)
    rows, given = rows[order], given[order]
    probabilities = np.concatenate([part.probabilities for part in parts])[order]
    leaves = fitted.classifier.leaves
    predicted = probabilities.argmax(axis=1)
    known = given >= 0
    own = np.where(known, probabilities[np.arange(len(rows)), given], np.nan)
    probability = probabilities[np.arange(len(rows)), predicted]
    labelled = np.bincount(given[known], minlength=len(leaves))
    # Of a leaf without a labelled row here nothing is known: it takes certainty.
    total = np.bincount(given[known], own[known], len(leaves))
    usual = np.divide(total, labelled, out=np.ones(len(leaves)), where=labelled > 0)
    suspected = known & (predicted != given) & (probability >= usual[predicted])
    return Labels(leaves, rows, given, predicted, probability, own, suspected)
