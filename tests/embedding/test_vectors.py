import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import Vectors, read_vectors, write_vectors
from item_embed.errors import VectorError
from item_embed.files import OutputError

NAMED = {"item_embed.fingerprint": "f", "item_embed.model": "m", "item_embed.modalities": "title"}
UNIT = [0.6, 0.8]


def made(rows: list[list[float]]) -> Vectors:
    return Vectors([f"id {i}" for i in range(len(rows))], np.array(rows, np.float32), "f", "run/model")


def write_table(path: Path, metadata: dict[str, str] | None = None, **columns: Any) -> Path:
    table = pa.table(columns).replace_schema_metadata(NAMED if metadata is None else metadata)
    pq.write_table(table, path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = made([UNIT, [0, 0], [-1, 0]])
    write_vectors(tmp_path / "new" / "vectors.parquet", written)
    read = read_vectors(tmp_path / "new" / "vectors.parquet")
    assert (read.ids, read.fingerprint, read.model) == (written.ids, "f", "run/model")
    np.testing.assert_array_equal(read.vectors, written.vectors)
    assert read.vectors.dtype == np.float32
    assert read.dimension == 2
    assert len(read) == 3


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
def test_what_the_model_saw_is_kept(tmp_path: Path, modalities: Modalities) -> None:
    write_vectors(tmp_path / "v.parquet", replace(made([UNIT]), modalities=modalities))
    assert read_vectors(tmp_path / "v.parquet").modalities == modalities


def test_parts_are_written_as_they_come(tmp_path: Path) -> None:
    whole = made([UNIT, [0, 0], [-1, 0], [0, 1], UNIT])

    def parts() -> Iterator[Vectors]:
        for part in (slice(0, 2), slice(2, 2), slice(2, 5)):
            yield replace(whole, ids=whole.ids[part], vectors=whole.vectors[part])
            assert [file.name for file in tmp_path.iterdir()] != ["v.parquet"]  # aside, until the last is written

    write_vectors(tmp_path / "v.parquet", parts())
    read = read_vectors(tmp_path / "v.parquet")
    assert read.ids == whole.ids
    np.testing.assert_array_equal(read.vectors, whole.vectors)


def test_a_part_that_is_wrong_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="not finite"):
        write_vectors(tmp_path / "v.parquet", [made([UNIT]), made([[np.inf, 0]])])
    assert not list(tmp_path.iterdir())


def test_no_vectors_are_a_file_too(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.parquet", replace(made([UNIT]), ids=[], vectors=np.zeros((0, 2), np.float32)))
    assert (len(read_vectors(tmp_path / "v.parquet")), read_vectors(tmp_path / "v.parquet").dimension) == (0, 2)


def test_other_tools_find_plain_columns(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.parquet", made([UNIT]))
    schema = pq.read_schema(tmp_path / "v.parquet")
    assert schema.names == ["id", "vector"]
    assert schema.field("vector").type == pa.list_(pa.float32(), 2)


def test_lists_of_free_size_are_read(tmp_path: Path) -> None:
    path = write_table(tmp_path / "v.parquet", id=["a", "b"], vector=pa.array([UNIT, [1.0, 0.0]]))
    np.testing.assert_array_equal(read_vectors(path).vectors, np.array([UNIT, [1, 0]], np.float32))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vectors(tmp_path / "v.parquet", made([UNIT]))

    def fail(*_: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(OutputError, match="disk full"):
        write_vectors(tmp_path / "v.parquet", made([UNIT, UNIT]))
    assert [file.name for file in tmp_path.iterdir()] == ["v.parquet"]
    assert len(read_vectors(tmp_path / "v.parquet")) == 1


@pytest.mark.parametrize(
    ("columns", "metadata", "message"),
    [
        ({"id": ["a"]}, None, "no column 'vector'"),
        ({"vector": pa.array([UNIT])}, None, "no column 'id'"),
        ({"id": ["a"], "vector": [0.5]}, None, "holds double"),
        ({"id": ["a"], "vector": pa.array([["x"]])}, None, "no file of vectors"),
        ({"id": ["a"], "vector": pa.array([UNIT])}, {}, "does not say which model"),
        ({"id": ["a"], "vector": pa.array([UNIT])}, NAMED | {"item_embed.modalities": "sound"}, "what the model saw"),
        ({"id": ["a", None], "vector": pa.array([UNIT, UNIT])}, None, "1 rows without an id"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, None])}, None, "1 rows without a vector"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, [1.0]])}, None, r"several dimensions \(1 and 2\)"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, [0.0, None]])}, None, "not finite, the first for 'b'"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, [float("nan"), 0.0]])}, None, "not finite"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, [float("inf"), 0.0]])}, None, "not finite"),
        ({"id": ["a", "b"], "vector": pa.array([UNIT, [3.0, 4.0]])}, None, r"'b' \(5\)"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(
    tmp_path: Path, columns: dict[str, Any], metadata: dict[str, str] | None, message: str
) -> None:
    path = write_table(tmp_path / "v.parquet", metadata, **columns)
    with pytest.raises(VectorError, match=message) as error:
        read_vectors(path)
    assert str(path) in str(error.value)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="does not exist"):
        read_vectors(tmp_path / "none.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(VectorError, match="damaged or is no Parquet file"):
        read_vectors(tmp_path / "torn.parquet")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    write_vectors(path, made([UNIT] * 100))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(VectorError, match="damaged"):
        read_vectors(path)


def test_wrong_vectors_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="not finite"):
        write_vectors(tmp_path / "v.parquet", made([UNIT, [np.nan, 0]]))
    with pytest.raises(VectorError, match="1 ids cannot name 2 vectors"):
        write_vectors(tmp_path / "v.parquet", Vectors(["a"], np.array([UNIT, UNIT], np.float32), "f", "m"))
    assert not list(tmp_path.iterdir())
