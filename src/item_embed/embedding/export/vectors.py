"""A file of vectors written anew in fewer bits, and what that costs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from item_embed.embedding.loss import Loss, loss_of, spread_rows
from item_embed.embedding.narrow import Numbers, narrowed, widened
from item_embed.embedding.vectors import Vectors, count_vectors, numbers_of, vector_parts, write_vectors
from item_embed.errors import VectorError
from item_embed.progress import OnProgress, silent
from item_embed.remote.places import Remote


def export_vectors(
    source: Path | Remote, out: Path | Remote, numbers: Numbers, *, on_progress: OnProgress = silent
) -> tuple[int, Loss | None]:
    """Write vectors in half precision or as whole numbers of 8 bits, a part at a time.

    They keep the fingerprint of their model: what they lose is rounding, and is told.

    Args:
        source: a file of `item embed`.
        out: the file to write; one of that name is replaced.
        numbers: what the vectors become; see `narrowed`.
        on_progress: told of rows.

    Returns:
        How many vectors there are, and the loss on some of them, evenly spread; None where they are too few to have
        neighbours.

    Raises:
        VectorError: when the source is no file of vectors, is damaged, or was narrowed before: the loss of that could
            not be told.
        OutputError: when the output cannot be written.

    Examples:
        >>> export_vectors(Path("vectors.parquet"), Path("small.parquet"), "int8")[0]  # doctest: +SKIP
        44072
    """
    if (before := numbers_of(source)) != "fp32":
        raise VectorError(
            f"{source} was narrowed before, to {before}, and what that lost could not be told any more; export the "
            "vectors that `item embed` made."
        )
    rows = count_vectors(source)
    wanted = spread_rows(rows)
    sample = []

    def parts() -> Iterator[Vectors]:
        done = 0
        for part in vector_parts(source):
            yield part
            sample.append(part.vectors[wanted[(wanted >= done) & (wanted < done + len(part))] - done])
            done += len(part)
            on_progress(done, rows)

    write_vectors(out, parts(), numbers)
    exact = np.concatenate(sample)
    return rows, loss_of(exact, widened(narrowed(exact, numbers)))
