import numpy as np
import pytest
import torch
from transformers import ResNetModel

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.matching import parameters
from item_embed.evaluation.learners.resnet import ResNet, resnet_config
from item_embed.evaluation.learners.views import view
from tests.evaluation.learners.made import material


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
