import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.schema import Manifest
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError
from tests.catalogs import Row, folder, photo, write_catalog

_RED, _BLUE = photo((200, 0, 0)), photo((0, 0, 200))
_ROWS = [
    Row("a", "Red shirt", _RED, "Men > Shirts", "p1", {"price": 5}, group=3),
    Row("b", None, _BLUE, group=3),
    Row("c", "No photo", None, split="validation"),
    Row("d", "Blue mug", _BLUE, split="test"),
    Row("e", "Blue cup", None, split="test"),
]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return write_catalog(tmp_path / "catalog", _ROWS, files=2)


def test_columns_come_in_order_over_files(catalog: Catalog) -> None:
    assert len(catalog) == 5
    assert catalog.ids == ["a", "b", "c", "d", "e"]
    assert catalog.titles == ["Red shirt", None, "No photo", "Blue mug", "Blue cup"]
    assert catalog.categories[:2] == ["Men > Shirts", None]
    assert catalog.product_ids[:2] == ["p1", None]
    assert catalog.groups.tolist() == [3, 3, 2, 3, 4]
    assert catalog.metadata(0) == {"price": 5}
    assert catalog.has_photo.tolist() == [True, True, False, True, False]
    assert "rows=5" in repr(catalog)


def test_rows_of_a_split(catalog: Catalog) -> None:
    assert catalog.rows().tolist() == [0, 1, 2, 3, 4]
    assert catalog.rows("train").tolist() == [0, 1]
    assert catalog.rows("test").tolist() == [3, 4]
    with pytest.raises(CatalogError, match="no split 'dev'; choose one of train, validation, test, all"):
        catalog.rows("dev")


def test_other_titles_change_nothing_else(catalog: Catalog) -> None:
    titles = ["shirt", None, None, "mug", "Blue cup"]
    other = catalog.with_titles(titles)
    assert other.titles == titles
    assert catalog.titles[0] == "Red shirt"
    assert other.titles.present.tolist() == [True, False, False, True, True]
    assert (other.ids, other.fingerprint) == (catalog.ids, catalog.fingerprint)
    assert [other.photo(row) for row in range(5)] == [row.image for row in _ROWS]
    with pytest.raises(ValueError, match="2 titles are not one for each of 5 rows"):
        catalog.with_titles(["a", "b"])


@pytest.mark.parametrize("cache", [0, 1 << 20])
def test_photos_in_any_order_with_and_without_a_cache(catalog: Catalog, cache: int) -> None:
    opened = Catalog(catalog.path, photo_cache_bytes=cache)
    order = np.array([4, 0, 3, 1, 2, 0, 4])
    assert [opened.photo(int(row)) for row in order] == [_ROWS[row].image for row in order]
    assert opened.photos(order) == [_ROWS[row].image for row in order]
    assert Catalog(catalog.path).photos(order) == [_ROWS[row].image for row in order]


def test_photos_in_order_are_read_once_and_not_kept(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def read_row_group(file: pq.ParquetFile, number: int, columns: list[str]) -> pa.Table:
        read.append(number)
        return real(file, number, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    photos = catalog.iter_photos()
    assert next(photos) == _RED
    assert read == [0]  # no further than asked for
    assert list(photos) == [_BLUE, None, _BLUE, None]
    assert read == [0, 1, 0]  # three groups in two files
    assert catalog.photos([1, 3]) == [_BLUE, _BLUE]
    assert not catalog._cache


@pytest.mark.parametrize("order", [None, [4, 0, 3, 1, 2, 0, 4], np.array([1, 2]), range(2, 5), []])
def test_listings_are_what_the_columns_say_without_reading_all_of_them(catalog: Catalog, order: Any) -> None:
    rows = [_ROWS[row] for row in (range(5) if order is None else order)]
    assert list(catalog.iter_listings(order)) == [(row.id, row.title, row.image) for row in rows]
    assert list(catalog.iter_listings(order, photos=False)) == [(row.id, row.title, None) for row in rows]
    assert not {"ids", "titles"} & vars(catalog).keys()
    other = catalog.with_titles(["a", None, "c", "d", "e"])
    assert [listing.title for listing in other.iter_listings(order)] == [
        other.titles[row] for row in (range(5) if order is None else order)
    ]


def test_a_catalogue_is_kept_if_its_files_fit(catalog: Catalog) -> None:
    size = sum(file.stat().st_size for file in (folder(catalog) / "rows").iterdir())
    groups = {}
    for limit in (size, size - 1):
        opened = Catalog(catalog.path, photo_cache_bytes=limit)
        for row in [0, 2, 4, 0, 3]:
            opened.photo(row)
        held = [image for group in opened._cache.values() for image in group if image]
        assert sum(map(len, held)) == opened._cached_bytes
        groups[limit] = len(opened._cache)
    assert groups == {size: 3, size - 1: 1}


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_that_does_not_exist(catalog: Catalog, row: int) -> None:
    with pytest.raises(IndexError):
        catalog.photo(row)
    with pytest.raises(IndexError):
        catalog.photos([0, row])


def test_has_photo_without_statistics_and_with(tmp_path: Path) -> None:
    rows = [Row(str(n), "t", _RED if n % 3 else None) for n in range(7)] + [
        Row(str(n), "t", None) for n in range(7, 10)
    ]
    assert write_catalog(tmp_path / "c", rows).has_photo.tolist() == [row.image is not None for row in rows]


def test_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogError, match=r"is not a catalogue: it has no manifest.json; make one with `item prepare`"
    ):
        Catalog(tmp_path)


def test_a_missing_row_file(catalog: Catalog) -> None:
    file = sorted((folder(catalog) / "rows").iterdir())[1]
    file.unlink()
    with pytest.raises(CatalogError, match=f"{file.name} is missing, though the manifest names it"):
        Catalog(catalog.path)


@pytest.mark.parametrize("data", [b"", b"not parquet", None])
def test_a_damaged_row_file(catalog: Catalog, data: bytes | None) -> None:
    file = sorted((folder(catalog) / "rows").iterdir())[0]
    file.write_bytes(file.read_bytes()[:-20] if data is None else data)
    with pytest.raises(CatalogError, match=f"{file.name} is damaged and cannot be read"):
        Catalog(catalog.path)


def test_damage_in_the_middle_of_a_row_file(tmp_path: Path) -> None:
    """Wherever zeros stand, reading goes on or ends in a sentence."""
    noise = np.random.default_rng(0)
    rows = [
        Row(str(n), noise.bytes(20).hex(), noise.bytes(300) if n % 3 else None, "A > B", f"p{n}", {"n": n})
        for n in range(40)
    ]
    path = folder(write_catalog(tmp_path / "c", rows))
    file = next((path / "rows").iterdir())
    data = file.read_bytes()
    damaged = set()
    for start in range(0, len(data), 400):
        file.write_bytes(data[:start] + bytes(len(data[start : start + 400])) + data[start + 400 :])
        try:
            opened = Catalog(path)
            opened.ids, opened.titles, opened.categories, opened.product_ids, opened.groups  # noqa: B018
            opened.splits, opened.has_photo, opened.metadata(0), opened.photos(range(40))
            opened.photo(39)
        except CatalogError as error:
            damaged.add(str(error))
    assert damaged == {f"{file} is damaged and cannot be read; prepare the catalogue again."}


def test_a_parquet_file_of_something_else(catalog: Catalog) -> None:
    file = next((folder(catalog) / "rows").iterdir())
    pq.write_table(pa.table({"id": ["a"]}), file)
    with pytest.raises(CatalogError, match=f"{file.name} is damaged and cannot be read"):
        Catalog(catalog.path)


def test_a_manifest_that_is_no_text(catalog: Catalog) -> None:
    (folder(catalog) / "manifest.json").write_bytes(b"{\xe9")
    with pytest.raises(CatalogError, match=r"manifest.json is damaged \(it is no text\)"):
        Catalog(catalog.path)


def test_a_manifest_that_cannot_be_read(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, encoding: str) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(CatalogError, match=r"manifest.json cannot be read: Permission denied\.$"):
        Catalog(catalog.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"counts": {}}', '{"command": 5}'])
def test_a_damaged_manifest(catalog: Catalog, text: str) -> None:
    (folder(catalog) / "manifest.json").write_text(text)
    with pytest.raises(CatalogError, match=r"manifest.json is damaged .*; prepare the catalogue again") as raised:
        Catalog(catalog.path)
    assert "\n" not in str(raised.value)


def test_a_manifest_of_another_version(catalog: Catalog) -> None:
    manifest = json.loads((folder(catalog) / "manifest.json").read_text())
    (folder(catalog) / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    with pytest.raises(CatalogError, match="has schema version 99"):
        Manifest.read(catalog.path)
