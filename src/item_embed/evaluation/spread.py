"""Figures over several runs of one method, with other seeds, say: their mean, what each run has, and differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from item_embed.evaluation.intervals import Figure, ratios
from item_embed.evaluation.measured import Combination, Measured, known, mean


@dataclass(frozen=True)
class Spread:
    """A figure over several runs.

    The interval says how far other products might have moved the mean, the runs how far other seeds do.

    Attributes:
        figure: the mean with its interval.
        each: by run, in the order of the runs; of a difference of unequally many runs none.
    """

    figure: Figure
    each: tuple[float, ...]


def figures(runs: Sequence[Measured], seed: int = 0) -> dict[str, Spread]:
    """Each figure that all of the runs have: its mean, and each run's own.

    Args:
        runs: what was measured of each, over the same clusters.
        seed: of the intervals.

    Examples:
        >>> figures([entry.measured for entry in entries])["hit_at_1"].figure.text()  # doctest: +SKIP
        '0.483 [0.468, 0.498]'
    """
    means = {name: mean([run[name] for run in runs]) for name in _shared(runs)}
    intervals = _figures(means, seed)
    return {name: Spread(intervals[name], tuple(run[name].value for run in runs)) for name in means}


def differences(runs: Sequence[Measured], others: Sequence[Measured], seed: int = 0) -> dict[str, Spread]:
    """How far each figure of the runs, their mean, lies above that of others of the same clusters.

    The same products are resampled in both, so what they share cancels out. Of equally many runs, each is told in
    pairs.
    """
    less = {
        name: mean([run[name] for run in runs]).less(mean([run[name] for run in others]))
        for name in _shared([*runs, *others])
    }
    found = _figures(less, seed)
    paired = list(zip(runs, others, strict=True)) if len(runs) == len(others) else []
    return {
        name: Spread(found[name], tuple(one[name].value - other[name].value for one, other in paired)) for name in less
    }


def mark(difference: Figure) -> str:
    """What stands behind a difference that may as well be none: not significant."""
    return "" if difference.decided else " n.s."


def _shared(runs: Sequence[Measured]) -> list[str]:
    return known(set.intersection(*(set(run) for run in runs))) if runs else []


def _figures(combined: Mapping[str, Combination], seed: int) -> dict[str, Figure]:
    """`Combination.figure` of each, with one draw for single ratios of as many clusters: equal seeds draw equally."""
    found = {}
    alike: dict[int, list[str]] = {}
    for name, one in combined.items():
        if len(one.terms) == 1 and one.terms[0].denominators.any():
            alike.setdefault(one.clusters, []).append(name)
        else:
            found[name] = one.figure(seed)
    for names in alike.values():
        terms = [combined[name].terms[0] for name in names]
        numerators = np.stack([term.numerators for term in terms], axis=1)
        denominators = np.stack([term.denominators for term in terms], axis=1)
        found |= dict(zip(names, ratios(numerators, denominators, seed=seed), strict=True))
    return found
