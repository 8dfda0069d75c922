from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.labels import category_loss, training_labels
from tests.catalogs import write_catalog
from tests.evaluation.learners.made import material
from tests.tiny import tiny_rows


def test_only_rows_to_learn_from_have_a_label(tmp_path: Path) -> None:
    rows = [replace(row, category=None) if i % 4 == 0 else row for i, row in enumerate(tiny_rows())]
    rows[-1] = replace(rows[-1], category="only in validation")
    catalog = write_catalog(tmp_path / "catalog", rows)
    labels = training_labels(material(catalog), catalog.rows("train"))
    assert labels.rows.tolist() == [row for row in range(32) if row % 4]
    assert labels.count == 5
    assert (labels.of[labels.rows] >= 0).all()
    assert (np.delete(labels.of, labels.rows) == -1).all()
    for row, other in zip(labels.rows, labels.rows[5:], strict=False):
        assert (labels.of[row] == labels.of[other]) == (catalog.categories[row] == catalog.categories[other])


def test_the_loss_sums_over_rows() -> None:
    scores, labels = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]), torch.tensor([1, 0])
    loss = category_loss(scores, labels)
    expected = -sum(torch.log_softmax(s, dim=0)[label] for s, label in zip(scores, labels, strict=True))
    assert loss.total.item() == pytest.approx(float(expected), rel=1e-6)
    assert (loss.count, loss.metrics["accuracy"].item()) == (2, 1)


def test_rows_of_other_splits_are_not_read(catalog: Catalog) -> None:
    rows = catalog.rows("train")[:6]
    assert training_labels(material(catalog), rows).rows.tolist() == rows.tolist()
