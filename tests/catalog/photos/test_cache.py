import os
from pathlib import Path

import pytest

from item_embed.catalog.photos.cache import PhotoCache
from item_embed.files import OutputError


def _write(cache: PhotoCache) -> None:
    with cache.writing(cache.path("cd" + "0" * 62)) as file:
        file.write(b"photo")


def test_a_photo_appears_when_it_is_whole(tmp_path: Path) -> None:
    cache = PhotoCache(tmp_path / "deep" / "cache")
    path = cache.path("ab" + "0" * 62)
    with cache.writing(path) as file:
        file.write(b"photo")
        file.flush()
        assert not cache.holds(path)
    assert cache.holds(path)
    assert path.read_bytes() == b"photo"
    assert path.parent.name == "ab"


def test_a_photo_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = PhotoCache(tmp_path)
    path = cache.path("ab" + "0" * 62)

    def fail() -> None:
        with cache.writing(path) as file:
            file.write(b"half a ph")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not cache.holds(path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_an_empty_file_is_no_photo(tmp_path: Path) -> None:
    cache = PhotoCache(tmp_path)
    path = cache.path("ab" + "0" * 62)
    path.parent.mkdir()
    path.touch()
    assert not cache.holds(path)


def test_what_killed_processes_left_long_ago_goes(tmp_path: Path) -> None:
    _write(PhotoCache(tmp_path))
    old, new = tmp_path / "partial" / "1-1-1", tmp_path / "partial" / "2-2-2"
    for file in (old, new):
        file.touch()
    os.utime(old, (1, 1))
    _write(PhotoCache(tmp_path))
    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = PhotoCache(tmp_path / "file")  # no error yet: a feed without addresses needs no cache
    with pytest.raises(
        OutputError, match=r"cannot be written: .*; make room there, or name another folder with --cache"
    ):
        _write(cache)
