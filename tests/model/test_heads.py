"""What the shapes of the global heads can and cannot say; their formulas are tested with their objectives."""

import pytest
import torch
from torch import Tensor, nn

from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import GMIMHead, ItemForPreTraining, ModulatedCLS
from tests.model.small import CONFIG, drawn

D = 16
PRODUCTS, POSITIONS = drawn(2, D, seed=1), drawn(5, D, seed=2)


def head(kind: str) -> GMIMHead:
    made = GMIMHead(ItemConfig(**CONFIG, global_head=kind))
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number) / D**0.5)
    return made


def differences(kind: str) -> Tensor:
    """What the head constructs of one product less what it constructs of another, position by position, (5, C)."""
    constructed = [head(kind)(product.expand(5, D), POSITIONS) for product in PRODUCTS]
    difference: Tensor = (constructed[0] - constructed[1]).detach()
    return difference


def test_a_linear_head_tells_two_products_apart_alike_at_every_position() -> None:
    found = differences("linear")
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, found[:1].expand_as(found), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["span", "conditioned"])
def test_the_others_say_what_stands_where(kind: str) -> None:
    found = differences(kind)
    assert (found - found[:1])[1:].abs().amax(dim=1).min() > 0.1


@pytest.mark.parametrize(("kind", "linear"), [("span", False), ("linear", True), ("conditioned", True)])
def test_at_one_position_all_but_span_read_cls_linearly(kind: str, linear: bool) -> None:
    made, where = head(kind), POSITIONS[:1]
    first, second = PRODUCTS[:1], PRODUCTS[1:]
    both = made(first, where) + made(second, where)
    alike = torch.allclose(both, made(first + second, where) + made(torch.zeros(1, D), where), atol=1e-4)
    assert alike == linear


def test_a_modulation_built_to_read_one_number_of_cls_at_each_position() -> None:
    """Position j is the j-th unit vector; scale(p) = p - 1 leaves the j-th number of h_CLS, which `out` sums up."""
    modulated = ModulatedCLS(ItemConfig(**CONFIG))
    with torch.no_grad():
        for parameter in modulated.parameters():
            parameter.zero_()
        modulated.scale_shift.weight[:D] = torch.eye(D)
        modulated.scale_shift.bias[:D] = -1
        modulated.out.weight[0] = 1
    cls = drawn(1, D, seed=3)
    read = modulated(torch.cat([cls.expand(D, D), torch.eye(D)], dim=-1))
    torch.testing.assert_close(read[:, 0], cls[0])
    assert not read[:, 1:].any()


@pytest.mark.parametrize(
    ("kind", "shape"), [("span", nn.Sequential), ("linear", nn.Linear), ("conditioned", ModulatedCLS)]
)
def test_both_global_heads_take_the_shape_that_the_configuration_names(kind: str, shape: type[nn.Module]) -> None:
    heads = ItemForPreTraining(ItemConfig(**CONFIG, global_head=kind)).heads
    assert [type(heads[name].transform) for name in ("gmlm", "gmim")] == [shape, shape]
