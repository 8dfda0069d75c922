"""The threshold for a wanted precision, from judged pairs.

How a threshold is chosen, `thresholds` says. A unit is here what was said about one product; a pair of two products
counts with the one that more pairs are about.

Letters in shapes: n judged pairs.
"""

from item_embed.errors import ConfigError
from item_embed.search.duplicates.judged import Judged
from item_embed.thresholds import Curve, Point, answers_needed, precision_curve
from item_embed.wording import number_of


def judged_curve(judged: Judged) -> Curve:
    """The precision by threshold, a point for each different cosine.

    Args:
        judged: n pairs, at least one.
    """
    return precision_curve(judged.pairs.cosine, judged.same, judged.unit, judged.weight)


def choose_threshold(curve: Curve, precision: float) -> Point:
    """The lowest threshold whose precision is at least the wanted one, by the lower end of its interval.

    Raises:
        ConfigError: when there is none, saying what the best is, or that there are too few answers for any.
    """
    sure = curve.sure(precision)
    if sure is not None:
        return sure
    known = number_of(int(curve.answers[-1]), "pair")
    if not curve.could_be_sure(precision):
        raise ConfigError(
            f"of {known} above --floor whose truth is known those of {number_of(curve.right, 'product')} are right, "
            f"which cannot promise a precision of {precision:g}, even if none were wrong: it takes "
            f"{answers_needed(precision):,}; have more of them, ask for a lower --precision, or give a --threshold "
            "yourself."
        )
    best = curve.surest()
    shown = number_of(best.answers, "pair")
    raise ConfigError(
        f"no threshold is sure to have a precision of {precision:g} by {known} above --floor whose truth is known: "
        f"the surest is {best.threshold:.4f}, with {best.precision:.3f} [{best.low:.3f}, {best.high:.3f}] of {shown}; "
        "judge more pairs, train longer, ask for a lower --precision, or give a --threshold yourself."
    )
