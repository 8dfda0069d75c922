from collections.abc import Iterator

import fsspec
import numpy as np
import pytest

from item_embed.embedding import vectors as module
from item_embed.embedding.export.vectors import export_vectors
from item_embed.embedding.vectors import Vectors, count_vectors, read_vectors, vector_parts, write_vectors
from item_embed.errors import RemoteError, VectorError
from item_embed.files import check_output
from item_embed.remote.places import Remote, place
from tests.stores import Store


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROW_GROUP", 300)


@pytest.fixture
def made() -> Vectors:
    numbers = np.random.default_rng(0).normal(size=(700, 64)).astype(np.float32)
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    return Vectors([f"id {row}" for row in range(700)], numbers, "print", "run/model", "title")


def test_they_are_read_as_they_were_written(bucket: str, made: Vectors) -> None:
    url = f"{bucket}/new/vectors.parquet"
    write_vectors(url, made)
    read = read_vectors(url)
    assert (read.ids, read.fingerprint, read.model, read.modalities) == (made.ids, "print", "run/model", "title")
    np.testing.assert_array_equal(read.vectors, made.vectors)
    assert count_vectors(url) == 700
    assert [len(part) for part in vector_parts(url)] == [300, 300, 100]
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in vector_parts(url)]), made.vectors)


def test_parts_are_fetched_one_by_one(bucket: str, made: Vectors, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.remote.parquet._TAIL", 1 << 14)
    write_vectors(f"{bucket}/v.parquet", made)
    s3.requests.clear()
    parts = vector_parts(f"{bucket}/v.parquet")
    next(parts)
    assert len(s3.requests) == 2  # the footer, and one row group
    assert len(list(parts)) == 2
    assert len(s3.requests) == 4


def test_they_are_exported_from_url_to_url(bucket: str, made: Vectors) -> None:
    write_vectors(f"{bucket}/v.parquet", made)
    target = Remote(f"{bucket}/small.parquet")
    rows, loss = export_vectors(Remote(f"{bucket}/v.parquet"), target, "int8")
    assert rows == 700
    assert loss is not None
    np.testing.assert_allclose(read_vectors(target).vectors, made.vectors, atol=0.01)


def test_what_ends_early_leaves_nothing(bucket: str, made: Vectors) -> None:
    def parts() -> Iterator[Vectors]:
        yield made
        raise ValueError("the photo of row 3")

    with pytest.raises(ValueError, match="the photo of row 3"):
        write_vectors(f"{bucket}/v.parquet", parts())
    assert not fsspec.filesystem("s3").find(bucket)
    check_output(place(f"{bucket}/v.parquet"))


def test_none() -> None:
    none = Vectors([], np.zeros((0, 3), np.float32), "print", "model")
    write_vectors("memory://v.parquet", none)
    assert read_vectors("memory://v.parquet").vectors.shape == (0, 3)
    assert sum(len(part) for part in vector_parts("memory://v.parquet")) == 0


def test_sentences(bucket: str, made: Vectors, s3: Store) -> None:
    url = f"{bucket}/v.parquet"
    with pytest.raises(VectorError, match=rf"^{url} does not exist or is no file; make the vectors with `item embed`"):
        read_vectors(url)
    with pytest.raises(RemoteError, match=r"^s3://no-shop/v.parquet cannot be read: The specified bucket does not"):
        count_vectors("s3://no-shop/v.parquet")
    with pytest.raises(RemoteError, match=r"^s3://no-shop/v.parquet cannot be written: The specified bucket does not"):
        write_vectors("s3://no-shop/v.parquet", made)
    fsspec.filesystem("s3").pipe_file(url, b"no vectors")
    with pytest.raises(VectorError, match=rf"^{url} is damaged or is no Parquet file; make the vectors again"):
        read_vectors(url)
    with pytest.raises(RemoteError, match=rf"^{url} exists already; choose another name, or remove it first"):
        check_output(place(url))
    s3.refuses = lambda request: request.startswith("P")
    with pytest.raises(RemoteError, match=rf"^{url} cannot be written: the server refuses"):
        write_vectors(url, made)
    with pytest.raises(RemoteError, match=rf"^{bucket}/new cannot be written: the server refuses"):
        check_output(place(f"{bucket}/new"))
