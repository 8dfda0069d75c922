import os

import pytest

from item_embed.errors import CatalogError, ModelError
from item_embed.evaluation.attempts import attempt, side_by_side


def odd(number: int) -> str | None:
    return None if number % 2 else f"{number} is even."


def die(number: int) -> str | None:
    os._exit(number)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CatalogError("there are no labels."), "there are no labels."),
        (RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB"), "RuntimeError: CUDA out of memory."),
        (MemoryError(), "MemoryError: no reason is given"),
    ],
)
def test_what_fails_as_training_does_gives_its_reason(error: Exception, reason: str) -> None:
    def fail() -> None:
        raise error

    assert attempt(fail) == reason


def test_what_is_done_has_no_reason_and_our_own_mistakes_are_no_reasons() -> None:
    assert attempt(lambda: "done") is None
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 / 0)
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_each_thing_comes_with_its_reason_in_order() -> None:
    wanted = [(4, "4 is even."), (3, None), (2, "2 is even.")]
    assert list(side_by_side(odd, [4, 3, 2], 2, "counting")) == wanted
    assert list(side_by_side(odd, [], 2, "counting")) == []


def test_a_process_that_is_ended_is_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"ended from outside, .* better with fewer --jobs"):
        list(side_by_side(die, [1, 1], 2, "dying"))
