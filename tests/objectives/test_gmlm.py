import pytest
import torch

from item_embed.model.heads import GMLMHead
from item_embed.objectives.gmlm import gmlm_loss
from tests.objectives import plain


def test_loss_is_its_formula() -> None:
    head = GMLMHead(plain.CONFIG)
    plain.randomised(head, 1)
    cls, position = plain.drawn(6, 4, seed=2), plain.drawn(6, 4, seed=4)
    vocabulary, tokens = plain.drawn(9, 4, seed=3), [3, 0, 8, 3, 5, 1]

    expected, right = 0.0, 0
    for h, p, token in zip(plain.rows(cls), plain.rows(position), tokens, strict=True):
        inner = plain.dense(head.transform[1], plain.dense(head.transform[0], h + p))
        scores = plain.linear(vocabulary, head.decoder.bias, inner)
        expected += plain.cross_entropy(scores, token)
        right += plain.best(scores) == token

    loss = gmlm_loss(head, cls, position, vocabulary, torch.tensor(tokens))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 6
    assert loss.metrics["gmlm_top1"].item() == right
