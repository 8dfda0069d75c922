import pytest
import torch

from item_embed.model.heads import GMLMHead
from item_embed.objectives.gmlm import gmlm_loss
from tests.objectives import plain

TOKENS = [3, 0, 8, 3, 5, 1]


@pytest.mark.parametrize("kind", plain.GLOBAL_HEADS)
def test_loss_and_gradients_are_those_of_its_formula(kind: str) -> None:
    head = GMLMHead(plain.GLOBAL_HEADS[kind]).double()
    plain.randomised(head, 1)
    read = [plain.drawn(6, 4, seed=2), plain.drawn(6, 4, seed=4), plain.drawn(9, 4, seed=3)]
    cls, position, vocabulary = (tensor.double().requires_grad_() for tensor in read)

    def scores() -> list[plain.Vector]:
        pairs = zip(plain.rows(cls), plain.rows(position), strict=True)
        return [plain.linear(vocabulary, head.decoder.bias, plain.joined(head.transform, h, p)) for h, p in pairs]

    def expected() -> float:
        return sum(plain.cross_entropy(each, token) for each, token in zip(scores(), TOKENS, strict=True))

    loss = gmlm_loss(head, cls, position, vocabulary, torch.tensor(TOKENS))
    right = sum(plain.best(each) == token for each, token in zip(scores(), TOKENS, strict=True))
    assert loss.total.item() == pytest.approx(expected(), rel=1e-5)
    assert loss.count == 6
    assert loss.metrics["gmlm_top1"].item() == right

    inputs = {"cls": cls, "position": position, "vocabulary": vocabulary, **dict(head.named_parameters())}
    found = torch.autograd.grad(loss.total, list(inputs.values()))
    for (name, tensor), gradient in zip(inputs.items(), found, strict=True):
        torch.testing.assert_close(gradient, plain.slopes(expected, tensor), rtol=1e-4, atol=1e-5, msg=name)
