"""Trainings that may fail, alone or side by side, each in a process of its own."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from item_embed.errors import ItemError, ModelError
from item_embed.parallel import WorkerError, ordered_map
from item_embed.progress import Stages, silent_stages

_T = TypeVar("_T")


class State(StrEnum):
    """How far a training is, and what is to be measured of it."""

    MISSING = "to do"
    BEGUN = "begun"
    FAILED = "failed"
    TRAINED = "trained"
    MEASURED = "measured"


def attempt(work: Callable[[], object]) -> str | None:
    """Do something that fails as training does: it diverges, has nothing to learn from, runs out of memory.

    Args:
        work: to do.

    Returns:
        The reason in one sentence or line where it failed, or None where it was done.

    Examples:
        >>> attempt(lambda: None)
    """
    try:
        work()
    except ItemError as error:
        return str(error)
    except (RuntimeError, MemoryError) as error:
        first, *_ = str(error).splitlines() or ["no reason is given"]
        return f"{type(error).__name__}: {first}"
    return None


def side_by_side(
    work: Callable[[_T], str | None], things: Sequence[_T], jobs: int, title: str, stage: Stages = silent_stages
) -> Iterator[tuple[_T, str | None]]:
    """Attempt each thing in a process with one thread.

    Args:
        work: on one thing; gives the reason why that is not possible, or None where it was done.
        things: to attempt.
        jobs: how many at a time.
        title: of the stage.
        stage: told of the things attempted.

    Yields:
        Each thing with its reason, in their order.

    Raises:
        ModelError: when a process is ended from outside; what the others have done is kept by them.

    Examples:
        >>> list(side_by_side(train_and_keep, ["clip", "item"], 2, "training methods"))  # doctest: +SKIP
        [('clip', None), ('item', 'training stopped at step 3.')]
    """
    with stage(title) as on_progress:
        on_progress(0, len(things))
        reasons = ordered_map(work, things, jobs, ahead=max(1, len(things)))  # no process waits for a slow first one
        try:
            for done, (thing, reason) in enumerate(zip(things, reasons, strict=True), 1):
                on_progress(done, len(things))
                yield thing, reason
        except WorkerError:
            raise ModelError(
                "a process that trains was ended from outside, as happens where memory runs out; the same command goes "
                "on, better with fewer --jobs."
            ) from None
