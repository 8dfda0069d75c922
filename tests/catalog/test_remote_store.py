import pickle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from item_embed.catalog.rowfiles import _SMALL
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError
from tests.catalogs import Row, write_catalog
from tests.stores import Store

_NOISE = np.random.default_rng(0)
_ROWS = [
    Row(f"id {n}", f"title {n}" if n % 5 else None, _NOISE.bytes(40_000) if n % 3 else None, "A > B", None, {"n": n})
    for n in range(48)
]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Two files of four row groups of six rows."""
    return write_catalog(tmp_path_factory.mktemp("shop") / "catalog", _ROWS, files=2)


@pytest.fixture
def remote(local: Catalog, bucket: str, s3: Store) -> Catalog:
    """The same in a store."""
    fsspec.filesystem("s3").put(str(local.path), f"{bucket}/catalog", recursive=True)
    s3.requests.clear()
    return Catalog(f"{bucket}/catalog")


def _asked(s3: Store) -> int:
    """How many requests there were; they are forgotten."""
    asked = len(s3.requests)
    s3.requests.clear()
    return asked


def test_it_is_the_same_catalogue(local: Catalog, remote: Catalog) -> None:
    assert str(remote.path).startswith("s3://")
    assert str(remote.path) in repr(remote)
    assert (len(remote), remote.fingerprint) == (len(local), local.fingerprint)
    for name in ("ids", "titles", "categories", "product_ids", "groups", "splits", "photo_pixels", "has_photo"):
        assert list(getattr(remote, name)) == list(getattr(local, name))
    order = [47, 3, 3, 40, 0, 22, 21, 46]
    assert [remote.photo(row) for row in order] == [_ROWS[row].image for row in order]
    assert remote.photos(order) == [_ROWS[row].image for row in order]
    assert list(remote.iter_photos()) == [row.image for row in _ROWS]
    assert remote.records(order) == local.records(order)
    assert remote.metadata(7) == {"n": 7}
    columns = ["title", "repairs", "id"]
    assert [batch.to_pylist() for batch in remote.batches(columns)] == [
        batch.to_pylist() for batch in local.batches(columns)
    ]
    assert remote.with_titles(["x"] * 48).titles[5] == "x"


def test_requests(remote: Catalog, s3: Store) -> None:
    """Opening asks for manifest and footers; all small columns come together; photos, by row group and once."""
    assert _asked(s3) == 2 + 2
    _ = remote.ids, remote.titles, remote.splits, remote.groups, remote.has_photo
    assert _asked(s3) == 2 * (4 + 1)  # the last columns of a row group lie before the first of the next
    _ = remote.categories
    assert _asked(s3) == 2 * 4
    remote.photos(range(48))
    assert _asked(s3) == 2  # photos of neighbours lie together but for a few bytes
    remote.photos(range(10, 20))
    assert _asked(s3) == 1
    remote.photos([40, 0, 20, 1, 41])
    assert _asked(s3) == 3
    for row in (0, 5, 47, 1, 46):
        remote.photo(row)
    assert _asked(s3) == 2
    remote.photos([0, 20, 47])
    assert _asked(s3) == 1


def test_row_groups_are_asked_for_side_by_side(remote: Catalog, s3: Store) -> None:
    """However far away the store is, several take the time of one."""
    from time import monotonic

    s3.delay = 0.2
    begun = monotonic()
    remote.photos([0, 12, 24, 36])
    assert len(s3.requests) == 2 + 2 + 4
    assert monotonic() - begun < 4 * 0.2


def test_a_window_holds_few_row_groups(remote: Catalog, monkeypatch: pytest.MonkeyPatch, s3: Store) -> None:
    remote._files.at_once = 2
    photos = remote.iter_photos()
    assert next(photos) == _ROWS[0].image
    _asked(s3)
    next(photos)
    assert _asked(s3) == 0
    assert list(photos) == [row.image for row in _ROWS[2:]]
    assert _asked(s3) == 3


def test_an_open_catalogue_is_sent_to_other_processes(remote: Catalog) -> None:
    assert remote.titles[1] == "title 1"
    assert remote.photo(1) == _ROWS[1].image
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_photos, (remote, [1, 47])) == [_ROWS[1].image, _ROWS[47].image]
    assert len(pickle.dumps(remote)) < 100_000  # no photo goes along


def _photos(catalog: Catalog, rows: list[int]) -> list[bytes | None]:
    return catalog.photos(rows)


def test_no_catalogue(bucket: str) -> None:
    with pytest.raises(CatalogError, match=rf"^{bucket}/x is not a catalogue: it has no manifest.json; make one with"):
        Catalog(f"{bucket}/x")
    with pytest.raises(CatalogError, match=r"^s3://no-shop/x/manifest.json cannot be read: The specified bucket does"):
        Catalog("s3://no-shop/x")


def test_rights_that_end(remote: Catalog, s3: Store) -> None:
    s3.refuses = lambda request: True
    with pytest.raises(CatalogError, match=r"parquet cannot be read: the server refuses \(Access Denied\)"):
        remote.photo(0)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, r"is missing, though the manifest names it"),
        (b"", r"is damaged and cannot be read"),
        (b"no parquet", r"is damaged and cannot be read"),
    ],
)
def test_damage_is_named(remote: Catalog, data: bytes | None, sentence: str) -> None:
    assert not isinstance(remote.path, Path)
    file: Any = remote.path / "rows/00001.parquet"
    if data is None:
        file.system.rm_file(file.address)
    else:
        file.system.pipe_file(file.address, data)
    with pytest.raises(CatalogError, match=rf"^{file} {sentence}"):
        Catalog(str(remote.path))


def test_columns_that_are_fetched_together_are_a_catalogues(local: Catalog) -> None:
    assert set(_SMALL) < set(next(iter(local._files._open.values())).schema_arrow.names)
