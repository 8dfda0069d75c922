"""When a classifier answers, and with what: the leaf, else the longest prefix, that is sure enough for a precision.

A threshold is fitted for each level on rows that the classifier did not learn from: for leaves on all of them, for
prefixes on those that no level before has answered. So the promise holds for the answers of each level by themselves:
rows that are easy at their leaf do not vouch for those that only a prefix can be said of. How a threshold is chosen,
`thresholds` says: by the lower end of an interval, over groups.

Letters in shapes: n rows, K levels as `tree` has them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.calibration import PRECISION
from item_embed.errors import ConfigError
from item_embed.thresholds import Point, answers_needed, precision_curve
from item_embed.wording import number_of


@dataclass(frozen=True)
class HeldOut:
    """What was said of rows that nothing was learnt from.

    Attributes:
        likelihood: (n, K) the probability of the likeliest node of each level.
        right: (n, K) whether the row lies under that node.
        group: (n,) rows of one group are about one product, and are no independent answers.
    """

    likelihood: NDArray[np.float64]
    right: NDArray[np.bool_]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.group)


#: For each level the lowest probability that is answered, with the precision measured there; None: no answer is.
Thresholds = tuple[Point | None, ...]


def check_precision(precision: float) -> None:
    """Refuse a precision that cannot be wanted.

    Raises:
        ConfigError: when it does not lie between 0 and 1.
    """
    if not 0 < precision < 1:
        raise ConfigError(f"--precision {precision:g} is out of range; give a number above 0 and below 1, as 0.95.")


def fit_thresholds(held: HeldOut, precision: float = PRECISION) -> Thresholds:
    """The thresholds for a wanted precision.

    Args:
        held: what was said of rows whose category is known.
        precision: the share of the answers of each level that must be right.

    Returns:
        K of them.

    Examples:
        >>> likelihood = np.linspace(1, 0.2, 400)[:, None]
        >>> held = HeldOut(likelihood, likelihood > 0.5, np.arange(400))
        >>> [point] = fit_thresholds(held, 0.9)
        >>> round(point.threshold, 2), point.low >= 0.9
        (0.47, True)
    """
    check_precision(precision)
    left = np.ones(len(held), np.bool_)
    found: list[Point | None] = []
    for likelihood, right in zip(held.likelihood.T, held.right.T, strict=True):
        point = precision_curve(likelihood[left], right[left], held.group[left]).sure(precision) if left.any() else None
        found.append(point)
        if point is not None:
            left &= likelihood < point.threshold
    return tuple(found)


def why_silent(held: HeldOut, precision: float) -> str | None:
    """Why no answer at all is given at a wanted precision, as a sentence; None where some level has a threshold.

    Few rows cannot promise it even where all that was said of them is right. A probability is no promise: it may be
    .99, and yet nothing is answered.

    Examples:
        >>> held = HeldOut(np.full((40, 1), 0.99), np.ones((40, 1), np.bool_), np.arange(40))
        >>> why_silent(held, 0.95)  # doctest: +ELLIPSIS
        'No threshold could be promised for a precision of 0.95: of 40 held-out rows those of 40 groups are right, ...'
    """
    if any(point is not None for point in fit_thresholds(held, precision)):
        return None
    rows = number_of(len(held), "held-out row")
    levels = zip(held.likelihood.T, held.right.T, strict=True)
    curves = [precision_curve(likelihood, right, held.group) for likelihood, right in levels] if len(held) else []
    if any(curve.could_be_sure(precision) for curve in curves):
        return (
            f"No threshold is sure to have a precision of {precision:g} by {rows}: too many answers are wrong; fit on "
            "more labelled rows, or ask for a lower --precision."
        )
    right = number_of(max((curve.right for curve in curves), default=0), "group")
    return (
        f"No threshold could be promised for a precision of {precision:g}: of {rows} those of {right} are right, "
        f"and it takes {answers_needed(precision):,}, even if none is wrong; fit on more labelled rows."
    )


def answered(likelihood: NDArray[np.float64], thresholds: Thresholds) -> NDArray[np.int64]:
    """The level that each row is answered at, (n,): the first whose threshold is reached; -1 for no answer.

    Args:
        likelihood: (n, K) the probability of the likeliest node of each level.
        thresholds: K of them.
    """
    least = np.array([np.inf if point is None else point.threshold for point in thresholds])
    reached = likelihood >= least
    return np.where(reached.any(axis=1), reached.argmax(axis=1), -1)
