import pytest

from item_embed.model.heads import GMIMHead
from item_embed.objectives.gmim import gmim_loss
from tests.objectives import plain


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_loss_is_its_formula(kind: str) -> None:
    head = GMIMHead(plain.CONFIG)
    plain.randomised(head, 1)
    cls, position, patches = plain.drawn(5, 4, seed=2), plain.drawn(5, 4, seed=4), plain.drawn(5, 12, seed=3)

    expected = 0.0
    for h, p, patch in zip(plain.rows(cls), plain.rows(position), plain.rows(patches), strict=True):
        inner = plain.dense(head.transform[1], plain.dense(head.transform[0], h + p))
        expected += plain.distance(plain.linear(head.decoder.weight, head.decoder.bias, inner), patch, kind)

    loss = gmim_loss(head, cls, position, patches, kind)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 5
    assert loss.metrics["gmim_error"].item() == pytest.approx(expected, rel=1e-5)
