import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from item_embed.objectives.vocabulary import token_loss
from tests.objectives import plain

_M, _V, _D = 23, 31, 8


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    features, vocabulary, bias = (
        plain.drawn(*shape, seed=seed).to(dtype).requires_grad_()
        for seed, shape in enumerate([(_M, _D), (_V, _D), (_V, 1)])
    )
    tokens = torch.arange(_M) * 7 % _V  # several of them right: see below
    return features, vocabulary, bias, tokens


def losses_and_gradients(block: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    features, vocabulary, bias, tokens = inputs(dtype)
    with torch.no_grad():
        features[::3] = vocabulary[tokens[::3]] * 9  # a third of the words are the best ones
    loss = token_loss("mlm", features, vocabulary, bias[:, 0], tokens, block=block)
    assert loss.count == _M
    gradients = torch.autograd.grad(3 * loss.total, [features, vocabulary, bias])
    return [loss.total.detach(), loss.metrics["mlm_top1"], *gradients]


def expected() -> list[Tensor]:
    features, vocabulary, bias, tokens = inputs()
    with torch.no_grad():
        features[::3] = vocabulary[tokens[::3]] * 9
    scores = features @ vocabulary.T + bias[:, 0]
    total = F.cross_entropy(scores, tokens, reduction="sum")
    right = (scores.argmax(dim=-1) == tokens).sum()
    return [total.detach(), right, *torch.autograd.grad(3 * total, [features, vocabulary, bias])]


@pytest.mark.parametrize("block", [1, _V, 5 * _V, _M * _V - 1, _M * _V])
def test_any_block_gives_the_loss_and_gradients_of_all_scores_at_once(block: int) -> None:
    whole = expected()
    assert 0 < int(whole[1]) < _M
    for found, wanted in zip(losses_and_gradients(block), whole, strict=True):
        torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=1e-5)


def test_blocks_under_autocast_are_as_near_as_the_plain_way() -> None:
    whole = expected()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blocks, plainly = losses_and_gradients(4 * _V), losses_and_gradients(_M * _V)
    for found, near, wanted in zip(blocks, plainly, whole, strict=True):
        error, plain_error = ((x.double() - wanted.double()).norm() for x in (found, near))
        assert found.dtype == near.dtype
        assert error <= 2 * plain_error + 1e-6
        assert error <= 0.02 * wanted.double().norm() + 1e-6


def test_no_gradient_is_taken_where_none_is_wanted() -> None:
    features, vocabulary, bias, tokens = inputs(torch.float32)
    with torch.no_grad():
        loss = token_loss("mlm", features, vocabulary, bias[:, 0], tokens, block=_V)
    assert not loss.total.requires_grad
    whole = token_loss("mlm", features, vocabulary, bias[:, 0], tokens)
    torch.testing.assert_close(loss.total, whole.total.detach())


def test_the_gradient_can_be_taken_twice() -> None:
    """Once for the norm of each objective's gradient, once for the step."""
    features, vocabulary, bias, tokens = inputs(torch.float32)
    total = token_loss("mlm", features, vocabulary, bias[:, 0], tokens, block=_V).total
    first, second = (torch.autograd.grad(total, features, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
