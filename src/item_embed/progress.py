"""How long work tells its caller how far it is, without knowing about terminals."""

from collections.abc import Callable

#: Called with the units done so far and the total, or None where it is not known.
OnProgress = Callable[[int, int | None], None]


def silent(done: int, total: int | None) -> None:
    """Report nothing: the default."""
