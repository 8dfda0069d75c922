import pytest
import torch

from item_embed.model.heads import ITMHead
from item_embed.objectives.itm import itm_loss
from tests.objectives import plain


def test_loss_is_its_formula() -> None:
    head = ITMHead(plain.CONFIG)
    plain.randomised(head, 1)
    cls, matched = plain.drawn(5, 4, seed=2), [True, False, True, True, False]

    expected, right = 0.0, 0
    for x, own in zip(plain.rows(cls), matched, strict=True):
        scores = plain.linear(head.classifier.weight, head.classifier.bias, x)
        expected += plain.cross_entropy(scores, 1 if own else 0)
        right += plain.best(scores) == (1 if own else 0)

    loss = itm_loss(head, cls, torch.tensor(matched))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 5
    assert loss.metrics["itm_accuracy"].item() == right


def test_no_pair_to_judge_costs_nothing_and_can_be_derived() -> None:
    head = ITMHead(plain.CONFIG)
    loss = itm_loss(head, torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool))
    loss.total.backward()
    assert (loss.total.item(), loss.count) == (0.0, 0)
