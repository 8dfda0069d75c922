"""How long work tells its caller how far it is, without knowing about terminals."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

#: Called with the units done so far and the total, or None where it is not known.
OnProgress = Callable[[int, int | None], None]

#: Opens a stage of the work by its label; the stage's progress is told to what it gives.
Stages = Callable[[str], AbstractContextManager[OnProgress]]


def silent(done: int, total: int | None) -> None:
    """Report nothing: the default."""


def silent_stages(label: str) -> AbstractContextManager[OnProgress]:
    """Report nothing: the default."""
    return nullcontext(silent)
