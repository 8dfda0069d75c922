from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from item_embed.categories.predicting import SCHEMA, Counts, sliced, write_predictions
from item_embed.embedding.vectors import Vectors
from item_embed.errors import VectorError
from tests.categories.made import ENCODER
from tests.categories.test_classifier import classifier, vectors


def made(count: int) -> Vectors:
    found = vectors(count)
    found[3] = 0
    return Vectors([f"id {n}" for n in range(count)], found, ENCODER.fingerprint, "run/model")


@pytest.mark.parametrize("size", [1 << 16, 17])
def test_a_row_for_each_product(tmp_path: Path, size: int) -> None:
    learnt, products = classifier(), made(100)
    counts = write_predictions(tmp_path / "out.parquet", learnt, sliced(products, size), 0.8)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.equals(SCHEMA)
    assert table["id"].to_pylist() == products.ids
    said = learnt.predict(products.vectors, ENCODER.fingerprint, learnt.thresholds(0.8))
    for row, told in enumerate(table.to_pylist()):
        level = said.level[row]
        if level < 0:
            assert (told["category"], told["probability"], told["leaf"]) == (None, None, None)
        else:
            assert told["category"] == learnt.tree.names(level)[said.node[row]]
            assert told["probability"] == pytest.approx(said.likelihood[row])
            assert told["leaf"] == (level == 0)
        if row == 3:
            assert told["top_5"] == []
            continue
        assert [one["category"] for one in told["top_5"]] == [learnt.leaves[leaf] for leaf in said.top[row]]
        assert [one["probability"] for one in told["top_5"]] == pytest.approx(said.top_likelihood[row])
        assert sum(one["probability"] for one in told["top_5"]) == pytest.approx(1, abs=1e-5)  # of five leaves
    assert counts == Counts(100, int((said.level == 0).sum()), int((said.level > 0).sum()), 1)
    assert counts.leaves + counts.prefixes + counts.unanswered == 100


def test_an_empty_catalogue_is_an_empty_file(tmp_path: Path) -> None:
    nothing = Vectors([], np.zeros((0, 4), np.float32), ENCODER.fingerprint, "run/model")
    assert write_predictions(tmp_path / "out.parquet", classifier(), sliced(nothing)).rows == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_vectors_of_another_model_leave_no_file(tmp_path: Path) -> None:
    products = made(10)
    other = Vectors(products.ids, products.vectors, "other", "run/other")
    with pytest.raises(VectorError, match="another model"):
        write_predictions(tmp_path / "out.parquet", classifier(), [other])
    assert not list(tmp_path.iterdir())
