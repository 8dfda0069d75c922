"""What a comparison will take: how many trainings, before it begins; and how long the rest, when the first is done."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from item_embed.config import TrainingSettings
from item_embed.training.initial import OnRemark
from item_embed.wording import are, duration, number_of

_T = TypeVar("_T")


def told_before(trainings: int, training: TrainingSettings) -> str:
    """How much is to be trained, as a sentence.

    Args:
        trainings: how many.
        training: what each is trained by.

    Examples:
        >>> told_before(1, TrainingSettings(steps=100, warmup_steps=10, batch_size=384))
        '1 training of 38,400 samples is to be made.'
    """
    if not trainings:
        return "Nothing is to be trained."
    samples = number_of(training.steps * training.batch_size, "sample")
    several = trainings > 1
    later = "; about how long they take is told after the first" if several else ""
    each = " each" if several else ""
    return f"{number_of(trainings, 'training')} of {samples}{each} {are(trainings)} to be made{later}."


def timed(
    attempts: Iterable[tuple[_T, str | None]],
    trainings: Callable[[_T], int],
    total: int,
    jobs: int,
    on_remark: OnRemark,
) -> Iterator[tuple[_T, str | None]]:
    """Pass on attempts, and tell after the first that trained about how long the other trainings will take.

    Args:
        attempts: each thing with the reason why it was not possible; what takes the time.
        trainings: how many a thing takes.
        total: how many all take.
        jobs: how many things go on side by side.
        on_remark: told.
    """
    made, told, began = 0, False, time.monotonic()
    for thing, reason in attempts:
        own, took = trainings(thing), time.monotonic() - began
        made += own
        left = total - made
        if own and reason is None and left and not told:
            told = True
            seconds = took / own * -(-left // jobs)
            on_remark(f"About {duration(seconds)} for {number_of(left, 'other training')}, measuring included.")
        yield thing, reason
        if jobs == 1:
            began = time.monotonic()
