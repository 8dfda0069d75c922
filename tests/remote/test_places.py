import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from item_embed.errors import RemoteError
from item_embed.remote.places import MissingError, Remote, place, size_of
from tests.stores import Store, forgotten


def test_a_place_is_a_path_or_a_url(tmp_path: Path) -> None:
    assert place("catalog") == Path("catalog")
    assert place(tmp_path) is tmp_path
    assert place(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert place("s3://shop/catalog/") == Remote("s3://shop/catalog")


def test_names() -> None:
    catalog = Remote("s3://shop/catalogs/fashion")
    assert str(catalog / "rows/1.parquet") == "s3://shop/catalogs/fashion/rows/1.parquet"
    assert (catalog.name, str(catalog.parent), catalog.resolve()) == ("fashion", "s3://shop/catalogs", catalog)
    assert catalog.address == "shop/catalogs/fashion"
    assert pickle.loads(pickle.dumps(catalog)) == catalog


def test_passwords_are_not_shown() -> None:
    hidden = Remote("https://me:secret@shop.example/catalog?sign=secret")
    assert str(hidden) == "https://shop.example/catalog"
    assert "secret" not in repr(hidden)


def test_bytes_and_sizes(bucket: str) -> None:
    file = Remote(f"{bucket}/a/b")
    assert not file.exists()
    file.system.pipe_file(file.address, b"1234")
    assert file.exists()
    assert file.parent.exists()
    assert file.read_bytes() == b"1234"
    assert size_of(file) == 4
    assert size_of(Path(__file__)) == len(Path(__file__).read_bytes())


def test_what_another_process_writes_is_seen(bucket: str) -> None:
    folder = Remote(f"{bucket}/a")
    assert folder.system.find(folder.address) == []
    fsspec.filesystem("s3", skip_instance_cache=True).pipe_file(f"{folder.address}/b", b"")
    assert (folder / "b").exists()


def test_a_missing_file_and_a_missing_bucket(bucket: str) -> None:
    with pytest.raises(MissingError, match=rf"^{bucket}/a cannot be read: there is no such file or folder\.$"):
        Remote(f"{bucket}/a").read_bytes()
    for ask in (Remote.read_bytes, Remote.exists):
        with pytest.raises(
            RemoteError, match=r"^s3://no-shop/a cannot be read: The specified bucket does not exist\.$"
        ):
            ask(Remote("s3://no-shop/a"))


@pytest.mark.parametrize("status", [404, 401])
def test_what_a_hub_says_of_a_missing_file(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """As `huggingface_hub` does: an error of HTTP, whose response is an object, behind the missing file."""
    refusal = OSError("Repository Not Found for url.\nPlease log in.")
    refusal.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]

    def missing(*_: object) -> None:
        raise FileNotFoundError("shop/a (repository not found)") from refusal

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", missing)
    said = "there is no such file or folder" if status == 404 else "Repository Not Found for url"
    with pytest.raises(RemoteError, match=rf"^memory://shop/a cannot be read: {said}\.$") as raised:
        Remote("memory://shop/a").read_bytes()
    assert isinstance(raised.value, MissingError) == (status == 404)


def test_missing_rights(s3: Store, bucket: str) -> None:
    s3.refuses = lambda request: True
    with pytest.raises(RemoteError, match=r"the server refuses \(.+\); check the credentials and their rights\.$"):
        Remote(f"{bucket}/a").read_bytes()


def test_missing_credentials(s3: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with forgotten(), pytest.raises(RemoteError, match=r"no credentials were found; put them into the environment"):
        Remote("s3://shop/a").read_bytes()


def test_a_server_that_is_not_there(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    with (
        forgotten(),
        pytest.raises(RemoteError, match=r"nothing answers there \(.*127.0.0.1:9.*AWS_ENDPOINT_URL"),
    ):
        Remote("s3://shop/a").read_bytes()


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> None:
        raise ImportError(url)

    monkeypatch.setattr(fsspec, "url_to_fs", refuse)
    with pytest.raises(RemoteError, match=r"^s3://shop/a needs a package .*; run: pip install s3fs\.$"):
        Remote("s3://shop/a").read_bytes()


def test_each_process_reaches_the_store_anew(bucket: str) -> None:
    """A fork inherits what cannot be used there: threads and connections."""
    file = Remote(f"{bucket}/a")
    file.system.pipe_file(file.address, b"here")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, file.read_bytes())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == b"here"
    os.waitpid(child, 0)
