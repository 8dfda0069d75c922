"""Two rankings made one."""

from collections.abc import Iterable, Sequence

_K = 60  # of the paper: how much the very first places count above the next


def reciprocal_ranks(rankings: Iterable[Sequence[int]]) -> dict[int, float]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): sum of 1 / (60 + rank) over the rankings.

    It needs no common scale of scores: cosines and BM25 have none.

    Args:
        rankings: rows, best first; each row at most once in a ranking.

    Returns:
        The score of every row, in the order in which the rows were met.

    Example:
        >>> scores = reciprocal_ranks([[7, 8], [8, 9]])
        >>> max(scores, key=scores.__getitem__)
        8
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (_K + rank)
    return scores
