import pytest
import torch

from item_embed.model.heads import GMIMHead
from item_embed.objectives.gmim import gmim_loss
from tests.objectives import plain


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("kind", plain.GLOBAL_HEADS)
def test_loss_and_gradients_are_those_of_its_formula(kind: str, distance: str) -> None:
    head = GMIMHead(plain.GLOBAL_HEADS[kind]).double()
    plain.randomised(head, 1)
    cls, position = (plain.drawn(5, 4, seed=seed).double().requires_grad_() for seed in (2, 4))
    patches = plain.drawn(5, 12, seed=3)

    def expected() -> float:
        total = 0.0
        for h, p, patch in zip(plain.rows(cls), plain.rows(position), plain.rows(patches), strict=True):
            inner = plain.joined(head.transform, h, p)
            constructed = plain.linear(head.decoder.weight, head.decoder.bias, inner)
            total += plain.distance(constructed, patch, distance)
        return total

    loss = gmim_loss(head, cls, position, patches, distance)
    assert loss.total.item() == pytest.approx(expected(), rel=1e-5)
    assert loss.count == 5
    assert loss.metrics["gmim_error"].item() == pytest.approx(expected(), rel=1e-5)

    inputs = {"cls": cls, "position": position, **dict(head.named_parameters())}
    found = torch.autograd.grad(loss.total, list(inputs.values()))
    for (name, tensor), gradient in zip(inputs.items(), found, strict=True):
        torch.testing.assert_close(gradient, plain.slopes(expected, tensor), rtol=1e-4, atol=1e-5, msg=name)
