import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from item_embed.objectives.agreement import nt_xent
from item_embed.objectives.batch import BOTH, PHOTO_ALONE, TITLE_ALONE, Views


def plainly(
    first: torch.Tensor, second: torch.Tensor, t: float, kinds: list[int], alike: list[list[bool]]
) -> tuple[torch.Tensor, int]:
    """The formula, one view and one other after the other."""
    b = len(first)
    z = [v / v.norm() for v in [*first, *second]]
    total, matched = torch.zeros((), dtype=first.dtype), 0
    for i in range(2 * b):
        others = [
            k for k in range(2 * b) if k % b == i % b or (kinds[k % b] == kinds[i % b] and not alike[i % b][k % b])
        ]
        others.remove(i)
        scores = {k: z[i] @ z[k] / t for k in others}
        j = (i + b) % (2 * b)
        total = total - torch.log(scores[j].exp() / torch.stack([score.exp() for score in scores.values()]).sum())
        matched += max(scores, key=lambda k: scores[k].item()) == j
    return total, matched


@pytest.mark.parametrize("seed", range(4))
def test_nt_xent_is_its_formula_in_value_and_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    kinds = [BOTH, PHOTO_ALONE, BOTH, TITLE_ALONE, BOTH, PHOTO_ALONE]
    alike = [[{i, k} == {0, 4} or {i, k} == {1, 2} for k in range(6)] for i in range(6)]
    first, second = (torch.randn(6, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss = nt_xent(first, second, 0.3, torch.tensor(kinds), torch.tensor(alike))
    expected, matched = plainly(first, second, 0.3, kinds, alike)
    torch.testing.assert_close(loss.total.double(), expected, rtol=1e-5, atol=0)
    assert loss.count == 12
    assert int(loss.metrics["view_top1"]) == matched
    found = torch.autograd.grad(loss.total, (first, second))
    for gradient, slow in zip(found, torch.autograd.grad(expected, (first, second)), strict=True):
        torch.testing.assert_close(gradient, slow, rtol=1e-4, atol=1e-6)


def test_without_kinds_all_others_are_told_from() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    expected, _ = plainly(first, second, 0.5, [0] * 4, [[False] * 4] * 4)
    assert float(nt_xent(first, second, 0.5).total) == pytest.approx(float(expected), rel=1e-5)


def test_how_long_vectors_are_does_not_matter() -> None:
    torch.manual_seed(1)
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    loss, longer = nt_xent(first, second, 0.2), nt_xent(9 * first, 0.1 * second, 0.2)
    torch.testing.assert_close(loss.total, longer.total)


def test_products_that_cannot_be_told_apart_cost_nothing() -> None:
    """Two products of one title: each view's only other candidate is the right one."""
    torch.manual_seed(2)
    first, second = torch.randn(2, 3), torch.randn(2, 3)
    loss = nt_xent(first, second, 0.05, torch.tensor([TITLE_ALONE] * 2), torch.ones(2, 2, dtype=torch.bool))
    assert float(loss.total) == pytest.approx(0, abs=1e-5)
    assert int(loss.metrics["view_top1"]) == 4


def test_vectors_that_bf16_cannot_tell_apart_are_told_apart() -> None:
    torch.manual_seed(3)
    first = 1 + 0.02 * torch.randn(64, 32)
    second = first + 0.002 * torch.randn(64, 32)
    exact = nt_xent(first, second, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(first, second, 0.05)
    assert torch.equal(loss.total, exact.total)
    assert int(loss.metrics["view_top1"]) == int(exact.metrics["view_top1"]) == 128


def test_equal_vectors_of_different_products_cost_what_guessing_costs() -> None:
    same = torch.ones(3, 4)
    assert float(nt_xent(same, same, 0.05).total) == pytest.approx(6 * math.log(5), rel=1e-4)


def test_a_batch_of_nothing_has_no_loss() -> None:
    nothing = torch.zeros(0, 4, requires_grad=True)
    loss = nt_xent(nothing, nothing, 0.05)
    assert (loss.total.item(), loss.count) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=7))
def test_alike_is_what_a_shopper_could_not_tell_apart(shown: list[tuple[int, int, int]]) -> None:
    kinds, titles, photos = (torch.tensor(column) for column in zip(*shown, strict=True))
    b, unused = len(shown), torch.zeros(2 * len(shown), 1)
    views = Views(unused, unused, unused, unused, unused, kinds, titles, photos)
    for i in range(b):
        for k in range(b):
            shows = [
                {BOTH: (title, photo), PHOTO_ALONE: (photo,), TITLE_ALONE: (title,)}[kind]
                for kind, title, photo in (shown[i], shown[k])
            ]
            assert bool(views.alike[i, k]) == (shown[i][0] == shown[k][0] and shows[0] == shows[1])
