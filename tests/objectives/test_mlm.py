import pytest
import torch

from item_embed.model.heads import MLMHead
from item_embed.objectives.mlm import mlm_loss
from tests.objectives import plain


def test_loss_is_its_formula() -> None:
    head = MLMHead(plain.CONFIG)
    plain.randomised(head, 1)
    hidden, vocabulary, tokens = plain.drawn(6, 4, seed=2), plain.drawn(9, 4, seed=3), [3, 0, 8, 3, 5, 1]

    expected, right = 0.0, 0
    for x, token in zip(plain.rows(hidden), tokens, strict=True):
        scores = plain.linear(vocabulary, head.decoder.bias, plain.dense(head.transform, x))
        expected += plain.cross_entropy(scores, token)
        right += plain.best(scores) == token

    loss = mlm_loss(head, hidden, vocabulary, torch.tensor(tokens))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 6
    assert loss.metrics["mlm_top1"].item() == right


def test_no_masked_token_costs_nothing_and_can_be_derived() -> None:
    head = MLMHead(plain.CONFIG)
    loss = mlm_loss(head, torch.zeros(0, 4), plain.drawn(9, 4, seed=3), torch.zeros(0, dtype=torch.long))
    loss.total.backward()
    assert (loss.total.item(), loss.count) == (0.0, 0)
