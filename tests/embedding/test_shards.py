import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.shards import Job, Shards
from item_embed.embedding.vectors import Vectors, read_vectors
from item_embed.errors import RemoteError, VectorError
from item_embed.files import OutputError
from item_embed.remote.places import Remote
from item_embed.remote.writing import names_in, sent
from tests.catalogs import Row, write_catalog
from tests.embedders import dummy
from tests.stores import Store

JOB = Job("f", "c", "both", "fp32", rows=10, shard_rows=4)


def made(rows: range, **changes: Any) -> Vectors:
    """A vector per row that says which it is; of every seventh row none."""
    angles = np.array(rows)[:, None] + [0, np.pi / 2]
    vectors = np.where(np.array(rows)[:, None] % 7, np.sin(angles), 0).astype(np.float32)
    return replace(Vectors([f"row {row}" for row in rows], vectors, "f", "run/model", "both"), **changes)


def folder(shards: Shards) -> Path:
    """Where shards of this machine are kept."""
    assert isinstance(shards.folder, Path)
    return shards.folder


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[Shards]:
    shards = Shards(tmp_path / "vectors.parquet", JOB)
    with shards.held():
        yield shards


@given(rows=st.integers(0, 50), shard_rows=st.integers(1, 60))
def test_every_row_is_in_one_shard(rows: int, shard_rows: int) -> None:
    job = Job("f", "c", "both", "fp32", rows, shard_rows)
    shards = [job.shard(number) for number in range(len(job))]
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert all(len(shard) == shard_rows for shard in shards[:-1])
    assert len(shards) == 1 or len(shards[-1])


def test_a_job_is_of_a_model_and_a_catalogue(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row("a", "red mug"), Row("b", "blue mug")])
    job = Job.of(dummy(fingerprint="f"), catalog, "title", shard_rows=1)
    assert job == Job("f", catalog.fingerprint, "title", "fp32", rows=2, shard_rows=1)
    shards = Shards(tmp_path / "vectors.parquet", job)
    with shards.held():
        for number in shards.missing():
            rows = np.array(job.shard(number))
            shards.write(number, embed_catalog(dummy(fingerprint="f"), catalog, "title", rows))
        shards.merge()
    whole = embed_catalog(dummy(fingerprint="f"), catalog, "title")
    np.testing.assert_array_equal(read_vectors(tmp_path / "vectors.parquet").vectors, whole.vectors)


def test_shards_in_any_order_become_one_file_in_the_order_of_the_rows(shards: Shards) -> None:
    assert shards.missing() == [0, 1, 2]
    for number in (2, 0, 1):
        shards.write(number, made(JOB.shard(number)))
    assert (shards.finished(), shards.missing()) == ([0, 1, 2], [])
    assert shards.merge() == 2
    read, whole = read_vectors(shards.out), made(range(10))
    assert (read.ids, read.fingerprint, read.model, read.modalities) == (whole.ids, "f", "run/model", "both")
    np.testing.assert_array_equal(read.vectors, whole.vectors)
    assert not folder(shards).exists()


def test_of_no_rows_comes_an_empty_file(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "vectors.parquet", replace(JOB, rows=0))
    with shards.held():
        shards.write(0, made(range(0)))
        assert shards.merge() == 0
    assert read_vectors(shards.out).vectors.shape == (0, 2)


def test_a_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    out = tmp_path / "new" / "vectors.parquet"
    with Shards(out, JOB).held():
        Shards(out, JOB).write(1, made(JOB.shard(1)))
    again = Shards(out, JOB)
    with again.held():
        assert again.missing() == [0, 2]


def test_a_shard_that_was_being_written_is_not_there(shards: Shards) -> None:
    (folder(shards) / ".000001.parquet.item-partial").write_bytes(b"half of it")
    assert shards.missing() == [0, 1, 2]
    for number in shards.missing():
        shards.write(number, made(JOB.shard(number)))
    shards.merge()
    assert not folder(shards).exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "g"}, "by another model"),
        ({"catalog": "d", "rows": 11}, "of another catalogue, or of this one before it changed"),
        ({"modalities": "title"}, "of other --modalities"),
        ({"precision": "bf16"}, "in another --precision"),
        ({"shard_rows": 5}, "of another version of item-embed"),
    ],
)
def test_work_of_another_job_is_neither_mixed_nor_lost(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    out = tmp_path / "vectors.parquet"
    with Shards(out, JOB).held():
        Shards(out, JOB).write(1, made(JOB.shard(1)))
    other = Shards(out, replace(JOB, **changes))
    with pytest.raises(OutputError, match=f"holds 1 finished shard {said}; .* remove that folder"), other.held():
        pass
    with Shards(out, JOB).held():
        assert Shards(out, JOB).missing() == [0, 2]


def test_a_job_that_finished_nothing_gives_way(tmp_path: Path) -> None:
    with Shards(tmp_path / "vectors.parquet", JOB).held():
        (tmp_path / "vectors.parquet.parts" / ".000001.parquet.item-partial").write_bytes(b"half of it")
    other = Shards(tmp_path / "vectors.parquet", replace(JOB, fingerprint="g"))
    with other.held():
        assert [file.name for file in folder(other).iterdir()] == ["job.json"]
        assert json.loads((folder(other) / "job.json").read_text()) == asdict(other.job)


def test_a_folder_that_says_not_what_it_holds_is_left_alone(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "vectors.parquet", JOB)
    folder(shards).mkdir()
    (folder(shards) / "holiday.jpg").touch()
    with pytest.raises(OutputError, match="none of `item embed`'s"), shards.held():
        pass
    (folder(shards) / "holiday.jpg").rename(folder(shards) / "000000.parquet")
    with pytest.raises(OutputError, match="another version"), shards.held():
        pass
    (folder(shards) / "000000.parquet").unlink()
    folder(shards).rmdir()
    folder(shards).touch()
    with pytest.raises(OutputError, match="is a file"), shards.held():
        pass


def test_what_else_is_in_the_folder_stays(shards: Shards) -> None:
    (folder(shards) / "note.txt").touch()
    for number in shards.missing():
        shards.write(number, made(JOB.shard(number)))
    shards.merge()
    assert [file.name for file in folder(shards).iterdir()] == ["note.txt"]


def test_one_run_at_a_time(shards: Shards) -> None:
    with pytest.raises(OutputError, match="by another process"), Shards(shards.out, JOB).held():
        pass


@pytest.mark.parametrize("changes", [{"fingerprint": "g"}, {"modalities": "title"}, {"ids": []}])
def test_other_vectors_than_those_of_the_shard_are_refused(shards: Shards, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are not those of shard 1"):
        shards.write(1, made(JOB.shard(1), **changes))
    assert shards.missing() == [0, 1, 2]


def test_a_damaged_shard_is_named_and_nothing_is_written(shards: Shards) -> None:
    for number in shards.missing():
        shards.write(number, made(JOB.shard(number)))
    damaged = folder(shards) / "000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(VectorError, match=r"000001\.parquet is damaged; remove it"):
        shards.merge()
    assert not shards.out.exists()
    damaged.unlink()
    shards.write(1, made(JOB.shard(1)))
    shards.merge()
    assert len(read_vectors(shards.out)) == 10


def test_shards_of_a_store(bucket: str, s3: Store) -> None:
    """They are kept, gone on with, refused and merged as those of a disk; nothing of them is left."""
    shards = Shards(f"{bucket}/new/vectors.parquet", JOB)
    with shards.held():
        assert shards.missing() == [0, 1, 2]
        for number in (2, 0):
            shards.write(number, made(JOB.shard(number)))
    assert sorted(names_in(Remote(f"{bucket}/new"))) == ["vectors.parquet.parts"]
    with (
        pytest.raises(OutputError, match=r"vectors.parquet.parts holds 2 finished shards of other --modalities"),
        Shards(f"{bucket}/new/vectors.parquet", replace(JOB, modalities="title")).held(),
    ):
        pass
    again = Shards(Remote(f"{bucket}/new/vectors.parquet"), JOB)
    with again.held():
        assert again.missing() == [1]
        again.write(1, made(JOB.shard(1)))
        s3.refuses = lambda request: "000001" in request
        with pytest.raises(RemoteError, match=r"000001.parquet cannot be read: the server refuses"):
            again.merge()
        s3.refuses = lambda request: False
        assert again.merge() == 2
    assert names_in(Remote(f"{bucket}/new")) == {"vectors.parquet"}
    whole = read_vectors(f"{bucket}/new/vectors.parquet")
    assert whole.ids == [f"row {row}" for row in range(10)]
    np.testing.assert_array_equal(whole.vectors, made(range(10)).vectors)


def test_what_was_begun_in_a_store_and_is_not_ours_is_left_alone(bucket: str) -> None:
    with sent(Remote(f"{bucket}/v.parquet.parts/thesis")) as file:
        file.write(b"years")
    with pytest.raises(OutputError, match="is not empty and none of"), Shards(f"{bucket}/v.parquet", JOB).held():
        pass


def test_a_job_is_begun_in_memory() -> None:
    memory = fsspec.filesystem("memory")
    with Shards("memory://begun/v.parquet", JOB).held():
        assert memory.ls("/begun/v.parquet.parts", detail=False) == ["/begun/v.parquet.parts/job.json"]
    memory.rm("/begun", recursive=True)
