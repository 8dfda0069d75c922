from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.embedding import vectors as room
from item_embed.embedding.export.vectors import export_vectors
from item_embed.embedding.narrow import Numbers
from item_embed.embedding.vectors import Vectors, count_vectors, numbers_of, read_vectors, vector_parts, write_vectors
from item_embed.errors import VectorError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """60 vectors of 8 numbers, two of them zeros."""
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[[5, 41]] = 0
    write_vectors(tmp_path / "v.parquet", Vectors([f"id {i}" for i in range(60)], vectors, "f", "run/model", "title"))
    return tmp_path / "v.parquet"


@pytest.mark.parametrize(("numbers", "kind"), [("half", pa.float16()), ("int8", pa.int8())])
@pytest.mark.parametrize("rows_at_once", [7, 60, 1000])
def test_vectors_of_fewer_bits_are_read_as_the_others_are(
    source: Path,
    tmp_path: Path,
    numbers: Numbers,
    kind: pa.DataType,
    rows_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "_ROW_GROUP", rows_at_once)
    told: list[int] = []
    out = tmp_path / "small.parquet"
    rows, loss = export_vectors(source, out, numbers, on_progress=lambda done, _: told.append(done))
    assert (rows, told[-1], len(told)) == (60, 60, -(-60 // rows_at_once))
    assert pq.read_schema(tmp_path / "small.parquet").field("vector").type == pa.list_(kind, 8)
    exact, small = read_vectors(source), read_vectors(tmp_path / "small.parquet")
    assert (small.ids, small.fingerprint, small.model, small.modalities) == (exact.ids, "f", "run/model", "title")
    assert small.vectors.dtype == np.float32
    assert not np.array_equal(small.vectors, exact.vectors)
    assert not small.vectors[[5, 41]].any()
    there = exact.vectors.any(axis=1)
    cosines = (exact.vectors * small.vectors).sum(axis=1)[there]
    assert loss is not None
    assert loss.rows == 58
    assert loss.cosine == pytest.approx(cosines.mean(), abs=1e-4)
    assert 0.999 < loss.lowest_cosine < 1


@pytest.mark.parametrize("before", ["half", "int8"])
@pytest.mark.parametrize("numbers", ["half", "int8"])
def test_vectors_that_were_narrowed_before_are_refused(
    source: Path, tmp_path: Path, before: Numbers, numbers: Numbers
) -> None:
    export_vectors(source, tmp_path / "small.parquet", before)
    assert (numbers_of(source), numbers_of(tmp_path / "small.parquet")) == ("fp32", before)
    with pytest.raises(VectorError, match=rf"small\.parquet was narrowed before, to {before}, .*`item embed` made"):
        export_vectors(tmp_path / "small.parquet", tmp_path / "smaller.parquet", numbers)
    assert not (tmp_path / "smaller.parquet").exists()


def test_the_loss_is_that_of_rows_all_over_the_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_ROW_GROUP", 7)
    monkeypatch.setattr("item_embed.embedding.loss.ROWS", 9)
    monkeypatch.setattr("item_embed.embedding.export.vectors.spread_rows", lambda rows: np.array([0, 6, 7, 20, 59]))
    seen = []
    monkeypatch.setattr("item_embed.embedding.export.vectors.loss_of", lambda exact, found: seen.append(exact))
    export_vectors(source, tmp_path / "small.parquet", "int8")
    np.testing.assert_array_equal(seen[0], read_vectors(source).vectors[[0, 6, 7, 20, 59]])


def test_parts_are_the_whole(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_vectors(source)
    monkeypatch.setattr(room, "_ROW_GROUP", 25)
    parts = list(vector_parts(source))
    assert [len(part) for part in parts] == [25, 25, 10]
    assert [one for part in parts for one in part.ids] == whole.ids
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), whole.vectors)
    assert count_vectors(source) == 60
    write_vectors(tmp_path / "none.parquet", Vectors([], np.zeros((0, 3), np.float32), "f", "m"))
    (nothing,) = vector_parts(tmp_path / "none.parquet")
    assert (len(nothing), nothing.dimension) == (0, 3)
    assert export_vectors(tmp_path / "none.parquet", tmp_path / "small.parquet", "int8") == (0, None)


def test_a_wrong_source_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_ROW_GROUP", 1)
    named = {"item_embed.fingerprint": "f", "item_embed.model": "m", "item_embed.modalities": "title"}
    table = pa.table({"id": ["a", "b"], "vector": pa.array([[0.6, 0.8], [1.0]])}).replace_schema_metadata(named)
    pq.write_table(table, tmp_path / "mixed.parquet")
    (tmp_path / "text.parquet").write_text("no vectors")
    wrong = {"mixed": r"several dimensions \(2 and 1\)", "text": "damaged", "none": "does not exist"}
    for name, message in wrong.items():
        with pytest.raises(VectorError, match=message):
            export_vectors(tmp_path / f"{name}.parquet", tmp_path / "small.parquet", "half")
    assert not (tmp_path / "small.parquet").exists()
