from typing import Any

import fsspec
import pytest

from item_embed.errors import RemoteError
from item_embed.remote.places import Remote
from item_embed.remote.writing import check_free, names_in, remove, sent
from tests.stores import Store


@pytest.fixture
def file(bucket: str) -> Remote:
    return Remote(f"{bucket}/vectors.parquet")


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "default_block_size", 5 << 20)


def _send(file: Remote, data: bytes = b"a", error: BaseException | None = None) -> None:
    with sent(file) as sending:
        for start in range(0, len(data), 6 << 20):
            sending.write(data[start : start + (6 << 20)])
        if error is not None:
            raise error


def _unfinished(file: Remote) -> list[Any]:
    return list(file.system.list_multipart_uploads(file.address.split("/")[0]))


@pytest.mark.usefixtures("_small_parts")
def test_a_file_appears_when_it_is_whole(file: Remote, s3: Store) -> None:
    parts = [bytes([number]) * (6 << 20) for number in range(3)]
    with sent(file) as sending:
        for part in parts:
            assert sending.write(part) == len(part)
            assert not file.exists()
    assert file.read_bytes() == b"".join(parts)
    assert sum("partNumber" in request for request in s3.requests) == 3


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("size", [3, 6 << 20])
def test_what_ends_early_leaves_the_file_as_it_was(file: Remote, error: type[BaseException], size: int) -> None:
    _send(file, b"before")
    with pytest.raises(error):
        _send(file, bytes(size), error())
    assert file.read_bytes() == b"before"
    assert not _unfinished(file)


@pytest.mark.usefixtures("_small_parts")
def test_a_store_that_refuses_midway_is_told_in_a_sentence(file: Remote, s3: Store) -> None:
    s3.refuses = lambda request: "partNumber=2" in request
    with pytest.raises(RemoteError, match=r"vectors.parquet cannot be written: the server refuses") as raised:
        _send(file, bytes(12 << 20))
    assert "\n" not in str(raised.value)
    assert not file.exists()
    assert not _unfinished(file)


def test_a_bucket_that_does_not_exist() -> None:
    file = Remote("s3://no-shop/a")
    for write in (_send, check_free):
        with pytest.raises(
            RemoteError, match=r"^s3://no-shop/a cannot be written: The specified bucket does not exist"
        ):
            write(file)


def test_a_place_is_tried_before_the_work(file: Remote, s3: Store) -> None:
    check_free(file)
    assert names_in(file.parent) == set()
    s3.refuses = lambda request: request.startswith("PUT")
    with pytest.raises(RemoteError, match=r"vectors.parquet cannot be written: the server refuses"):
        check_free(file)
    s3.refuses = lambda request: False
    _send(file, b"mine")
    with pytest.raises(RemoteError, match=r"vectors.parquet exists already; choose another name, or remove it first"):
        check_free(file)


def test_folders_are_listed_and_files_removed(bucket: str) -> None:
    folder = Remote(f"{bucket}/parts")
    assert names_in(folder) == set()
    remove(folder / "1")
    for name in ("1", "2"):
        _send(folder / name, b"")
    _send(Remote(f"{bucket}/parts of mine"), b"")
    assert names_in(folder) == {"1", "2"}
    fsspec.filesystem("s3", skip_instance_cache=True).pipe_file(f"{folder.address}/3", b"")
    assert names_in(folder) == {"1", "2", "3"}
    remove(folder / "2")
    assert names_in(folder) == {"1", "3"}


def test_a_name_that_could_be_a_pattern_removes_no_other(bucket: str) -> None:
    files = [Remote(f"{bucket}/{run}/1.parquet") for run in ("run1", "run2", "run[12]", "run*")]
    for file in files:
        _send(file, b"")
    remove(files[2])
    remove(files[3])
    assert [names_in(file.parent) for file in files] == [{"1.parquet"}, {"1.parquet"}, set(), set()]
