import math

import numpy as np
import pytest
import torch
from transformers import ResNetModel

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.matching import parameters
from item_embed.evaluation.learners.resnet import ResNet, nt_xent, resnet_config
from item_embed.evaluation.learners.views import view
from tests.evaluation.learners.made import material


def test_nt_xent_is_its_formula() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    second[:3] = first[:3] + 0.1 * second[:3]
    temperature = 0.3
    z = [vector / vector.norm() for vector in (*first, *second)]
    total, right = 0.0, 0
    for i in range(10):
        j = (i + 5) % 10
        scores = {k: float(z[i] @ z[k]) / temperature for k in range(10) if k != i}
        total -= math.log(math.exp(scores[j]) / sum(math.exp(score) for score in scores.values()))
        right += max(scores, key=scores.__getitem__) == j
    loss = nt_xent(first, second, temperature)
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.count == 10
    assert loss.metrics["matched"].item() == right
    assert 0 < right < 10


def test_nt_xent_does_not_ask_how_long_vectors_are() -> None:
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    loss, longer = nt_xent(first, second, 0.2), nt_xent(9 * first, 0.1 * second, 0.2)
    assert loss.total.item() == pytest.approx(longer.total.item(), rel=1e-5)


def size(wanted: int) -> int:
    with torch.device("meta"):
        return parameters(ResNetModel(resnet_config(wanted)))


@pytest.mark.parametrize("wanted", [100_000, 1_467_520])
def test_parameters_come_within_two_in_a_hundred(wanted: int) -> None:
    assert size(wanted) == pytest.approx(wanted, rel=0.02)


def test_for_a_large_encoder_it_is_resnet_50() -> None:
    assert size(110_000_000) == 23_508_032  # of torchvision's 25,557,032 the classifier has 2,049,000
    assert resnet_config(110_000_000).hidden_sizes == [256, 512, 1024, 2048]


def test_a_batch_is_two_views_of_each_photo(catalog: Catalog) -> None:
    task = ResNet().prepare(material(catalog))
    rows, epochs = task.samples.drawn(2)
    assert catalog.has_photo[rows].all()
    views = task.batch(rows, epochs)["views"].numpy()
    photos = task.samples.photos(rows)
    for number in (0, 1):
        np.testing.assert_array_equal(views[8 * number : 8 * number + 8], view(photos, 0, epochs, rows, number))
    assert task.whole
