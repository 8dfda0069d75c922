import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from item_embed.evaluation.learners.matching import nearest_size, parameters


@given(st.integers(1, 2000))
def test_no_size_is_nearer(wanted: int) -> None:
    sizes = range(2, 40, 3)
    found = nearest_size(lambda width: nn.Linear(width, width), sizes, wanted)
    assert abs(found * (found + 1) - wanted) == min(abs(size * (size + 1) - wanted) for size in sizes)


def test_shared_weights_count_once() -> None:
    layer = nn.Linear(3, 4)
    assert parameters(nn.Sequential(layer, layer)) == 16


def test_nothing_is_drawn_in_looking_for_a_size() -> None:
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    nearest_size(lambda width: nn.Linear(width, width), range(1, 9), 30)
    assert torch.equal(torch.rand(1), first)
