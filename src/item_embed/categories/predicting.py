"""The categories of a whole catalogue, as a file: a row for each of its rows.

`category`: the leaf, or the longest prefix that is sure enough; null where nothing is. `probability`: of that. `leaf`:
whether it is a whole path. `top_5`: the likeliest leaves with their probabilities, sure or not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.categories.classifier import CategoryClassifier, Predictions
from item_embed.embedding.vectors import Vectors
from item_embed.files import whole_file

_CANDIDATE = pa.struct([pa.field("category", pa.string()), pa.field("probability", pa.float32())])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("probability", pa.float32()),
        pa.field("leaf", pa.bool_()),
        pa.field("top_5", pa.list_(_CANDIDATE), nullable=False),
    ]
)


@dataclass(frozen=True)
class Counts:
    """How many rows were answered: with a leaf, with a prefix, not at all; of the last, those nothing was seen of."""

    rows: int
    leaves: int
    prefixes: int
    unseen: int

    @property
    def unanswered(self) -> int:
        """Rows without an answer."""
        return self.rows - self.leaves - self.prefixes


def write_predictions(
    path: Path, classifier: CategoryClassifier, parts: Iterable[Vectors], precision: float | None = None
) -> Counts:
    """Write what a classifier says of products.

    Args:
        path: the Parquet file to write.
        classifier: of the vectors' model.
        parts: the products' vectors; one part at a time is in memory.
        precision: the share of answers that must be right; by default the one that the classifier was fitted for.

    Raises:
        VectorError: when the vectors come from another model.
        OutputError: when the file cannot be written.
    """
    thresholds = classifier.thresholds(precision)
    rows = leaves = prefixes = unseen = 0
    with whole_file(path) as aside, pq.ParquetWriter(aside, SCHEMA, compression="zstd") as writer:
        for part in parts:
            predicted = classifier.predict(part.vectors, part.fingerprint, thresholds)
            writer.write_table(_table(classifier, part, predicted))
            rows += len(part)
            leaves += int((predicted.level == 0).sum())
            prefixes += int((predicted.level > 0).sum())
            unseen += int((~part.vectors.any(axis=1)).sum())
    return Counts(rows, leaves, prefixes, unseen)


def sliced(vectors: Vectors, size: int = 1 << 16) -> Iterator[Vectors]:
    """Vectors that were read whole, in parts."""
    for start in range(0, max(1, len(vectors)), size):
        ids, part = vectors.ids[start : start + size], vectors.vectors[start : start + size]
        yield Vectors(ids, part, vectors.fingerprint, vectors.model, vectors.modalities)


def _table(classifier: CategoryClassifier, part: Vectors, predicted: Predictions) -> pa.Table:
    names = [classifier.tree.names(level) for level in range(classifier.tree.levels)]
    silent = predicted.level < 0
    category = [
        None if level < 0 else names[level][node] for level, node in zip(predicted.level, predicted.node, strict=True)
    ]
    unseen = ~part.vectors.any(axis=1)
    shown = np.where(unseen, 0, predicted.top.shape[1])
    kept = ~np.repeat(unseen, predicted.top.shape[1])
    candidates = pa.StructArray.from_arrays(
        [
            pa.array(classifier.leaves).take(pa.array(predicted.top.ravel()[kept])),
            pa.array(predicted.top_likelihood.ravel()[kept].astype(np.float32)),
        ],
        fields=list(_CANDIDATE),
    )
    columns = [
        pa.array(part.ids, pa.string()),
        pa.array(category, pa.string()),
        pa.array(predicted.likelihood.astype(np.float32), mask=silent),
        pa.array(predicted.level == 0, mask=silent),
        pa.ListArray.from_arrays(pa.array(np.append(0, shown.cumsum()).astype(np.int32)), candidates),
    ]
    return pa.table(columns, schema=SCHEMA)
