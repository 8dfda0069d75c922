import os

import pytest

from item_embed.errors import ModelError
from item_embed.evaluation.attempts import side_by_side


def odd(number: int) -> str | None:
    return None if number % 2 else f"{number} is even."


def die(number: int) -> str | None:
    os._exit(number)


def test_each_thing_comes_with_its_reason_in_order() -> None:
    wanted = [(4, "4 is even."), (3, None), (2, "2 is even.")]
    assert list(side_by_side(odd, [4, 3, 2], 2, "counting")) == wanted
    assert list(side_by_side(odd, [], 2, "counting")) == []


def test_a_process_that_is_ended_is_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"ended from outside, .* better with fewer --jobs"):
        list(side_by_side(die, [1, 1], 2, "dying"))
