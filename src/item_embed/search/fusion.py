"""Two rankings made one."""

from collections.abc import Iterable, Sequence

DEPTH = 100  # places of each ranking that a hybrid search joins, at least

_K = 60  # of the paper: how much the very first places count above the next


def best_by_both(nearest: Sequence[int], by_words: Sequence[int], k: int) -> dict[int, float]:
    """The k best rows of a ranking by vector and one by words, each with its score by `reciprocal_ranks`.

    Args:
        nearest: rows by cosine, best first.
        by_words: rows by BM25, best first.
        k: how many rows are kept.

    Returns:
        Scores by row, best first; equal ones by cosine, those that only the words found last.

    Examples:
        >>> list(best_by_both([7, 8, 9], [9, 5], k=3))
        [9, 7, 8]
    """
    scores = reciprocal_ranks([nearest, by_words])
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:k]  # stable: equal ones as they were met
    return {row: scores[row] for row in best}


def reciprocal_ranks(rankings: Iterable[Sequence[int]]) -> dict[int, float]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): sum of 1 / (60 + rank) over the rankings.

    It needs no common scale of scores: cosines and BM25 have none.

    Args:
        rankings: rows, best first; each row at most once in a ranking.

    Returns:
        The score of every row, in the order in which the rows were met.

    Examples:
        >>> scores = reciprocal_ranks([[7, 8], [8, 9]])
        >>> max(scores, key=scores.__getitem__)
        8
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (_K + rank)
    return scores
