import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog import chunks
from item_embed.catalog.feeds.feed import open_feed
from item_embed.catalog.preparing import prepare
from item_embed.catalog.schema import Counts, Manifest
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, FeedError
from item_embed.progress import OnProgress
from tests.catalog.made import encoded, kept_rows, picture, rejected_rows, write_csv

_JPEG = encoded(picture(), "JPEG")


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """A CSV feed of twelve rows, one of each fate, with its photos beside it."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    exif = picture().getexif()
    exif[0x0112] = 6
    files = {
        "ok.jpg": _JPEG,
        "turned.jpg": encoded(picture(30, 40, 1), "JPEG", exif=exif),
        "cut.jpg": encoded(picture(100, 100), "JPEG")[:-300],
        "dot.png": encoded(picture(1, 1)),
        "big.png": encoded(picture(300, 400, 2)),
        "empty.jpg": b"",
    }
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    rows = [
        ("1", "Red shirt", "images/ok.jpg"),
        ("2", "Blue &amp; white shirt", "images/turned.jpg"),
        ("3", "Green shirt", "images/cut.jpg"),
        ("4", "Dotted shirt", "images/dot.png"),
        ("5", "", "images/big.png"),
        ("6", "", "images/missing.jpg"),
        ("7", "Shirt without a photo", ""),
        ("8", "Thief", "../../etc/passwd"),
        ("1", "Red shirt", "images/ok.jpg"),
        ("1", "Another shirt", "images/ok.jpg"),
        ("", "Shirt without an id", "images/ok.jpg"),
        ("12", "Empty", "images/empty.jpg"),
    ]
    return write_csv(folder / "feed.csv", [{"sku": a, "name": b, "photo": c, "price": "5"} for a, b, c in rows])


def test_each_row_has_its_fate(feed: Path, tmp_path: Path) -> None:
    manifest = prepare(feed, tmp_path / "catalog")
    assert manifest.counts == Counts(input=12, kept=2, repaired=7, set_aside=3)
    rows = {row["id"]: row for row in kept_rows(tmp_path / "catalog")}
    assert list(rows) == ["1", "2", "3", "4", "5", "7", "8", "row-11", "12"]
    assert {name: row["repairs"] for name, row in rows.items()} == {
        "1": [],
        "2": ["title: HTML entities", "photo: turned as its EXIF says"],
        "3": ["photo: truncated file"],
        "4": ["photo: smaller than 8 pixels"],
        "5": [],
        "7": ["photo: absent"],
        "8": ["photo: outside the feed's folder, refused without --allow-outside"],
        "row-11": ["id: missing, named by the row's number"],
        "12": ["photo: empty file"],
    }
    assert rows["1"]["image"] == _JPEG
    assert rows["2"]["title"] == "Blue & white shirt"
    assert rows["5"]["title"] is None
    assert json.loads(rows["1"]["metadata"]) == {"price": "5"}
    assert [(row["row"], row["reason"]) for row in rejected_rows(tmp_path / "catalog")] == [
        (6, "no title, and no photo (file not found)"),
        (9, "duplicate id, same content"),
        (10, "duplicate id, different content"),
    ]
    content = {"sku": "1", "name": "Another shirt", "photo": "images/ok.jpg", "price": "5"}
    assert json.loads(rejected_rows(tmp_path / "catalog")[2]["content"]) == content


def test_the_manifest_says_what_happened(feed: Path, tmp_path: Path) -> None:
    manifest = prepare(feed, tmp_path / "catalog", seed=4, command="item prepare feed.csv")
    assert Manifest.read(tmp_path / "catalog") == manifest
    assert manifest.command == "item prepare feed.csv"
    assert manifest.seed == 4
    assert manifest.sources == [str(feed)]
    roles = {"id": "sku", "title": "name", "image": "photo", "category": None, "product_id": None, "group": None}
    assert manifest.columns == roles
    assert manifest.reasons["duplicate id, same content"] == 1
    assert sum(manifest.splits.values()) == 9
    assert list(manifest.files) == ["rejected.parquet", "rows/part-00000.parquet"]
    catalog = Catalog(tmp_path / "catalog")
    assert catalog.has_photo.sum() == 4
    assert sorted(path.name for path in (tmp_path / "catalog").iterdir()) == [
        "manifest.json",
        "rejected.parquet",
        "report.html",
        "rows",
    ]


def test_an_id_that_only_a_rejected_row_had_is_free(tmp_path: Path) -> None:
    feed = write_csv(tmp_path / "feed.csv", [{"id": "1", "title": ""}, {"id": "1", "title": "Red shirt"}])
    assert prepare(feed, tmp_path / "catalog").counts == Counts(input=2, kept=0, repaired=1, set_aside=1)


def test_a_feed_without_ids_is_numbered(tmp_path: Path) -> None:
    feed = write_csv(tmp_path / "feed.csv", [{"title": "Red shirt"}, {"title": ""}, {"title": "Red shirt"}])
    manifest = prepare(feed, tmp_path / "catalog")
    assert manifest.columns["id"] is None
    assert [row["id"] for row in kept_rows(tmp_path / "catalog")] == ["row-1", "row-3"]


def test_named_columns_images_and_groups(feed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = feed.rename(elsewhere / "feed.csv")
    columns = {"title": "sku", "id": "name", "product_id": "price"}
    manifest = prepare(moved, tmp_path / "c", columns=columns, group_column="price", images=tmp_path / "shop")
    assert manifest.columns["title"] == "sku"
    catalog = Catalog(tmp_path / "c")
    assert catalog.has_photo.any()
    assert set(catalog.groups.tolist()) == {0}  # all rows have one price
    assert len({*catalog.splits.tolist()}) == 1


def test_photos_in_the_feed_itself(tmp_path: Path) -> None:
    images = [{"bytes": _JPEG, "path": "a.jpg"}, {"bytes": encoded(picture(400, 300)), "path": None}, None]
    table = pa.table({"id": [1.0, 2.0, None], "title": ["a", "b", "c"], "image": images, "price": [1, None, 3]})
    pq.write_table(table, tmp_path / "feed.parquet")
    prepare(tmp_path / "feed.parquet", tmp_path / "catalog")
    rows = kept_rows(tmp_path / "catalog")
    assert [row["id"] for row in rows] == ["1", "2", "row-3"]
    assert [row["image"] is not None for row in rows] == [True, True, False]
    assert [row["metadata"] for row in rows] == ['{"price": 1}', "{}", '{"price": 3}']


def test_rows_that_belong_together_stay_together(tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": f"Shirt {n // 2}", "product_id": f"p{n // 6}"} for n in range(600)]
    prepare(write_csv(tmp_path / "feed.csv", rows), tmp_path / "catalog")
    catalog = Catalog(tmp_path / "catalog")
    assert len(set(catalog.groups.tolist())) == 100
    for group in range(100):
        assert len(set(catalog.splits[catalog.groups == group])) == 1


def test_the_same_feed_gives_the_same_files(feed: Path, tmp_path: Path) -> None:
    one, other = prepare(feed, tmp_path / "one"), prepare(feed, tmp_path / "other")
    assert one.files == other.files
    assert one.fingerprint == other.fingerprint
    prepared = prepare(feed, tmp_path / "one", overwrite=True)
    assert prepared.fingerprint == one.fingerprint


def test_order_of_rows_changes_no_group_or_split(tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": f"Shirt {n // 2}"} for n in range(300)]
    prepare(write_csv(tmp_path / "a.csv", rows), tmp_path / "a")
    prepare(write_csv(tmp_path / "b.csv", rows[::-1]), tmp_path / "b")
    a, b = Catalog(tmp_path / "a"), Catalog(tmp_path / "b")
    assert (a.groups == b.groups[::-1]).all()
    assert (a.splits == b.splits[::-1]).all()


def test_each_stage_is_told_and_progress_reaches_the_total(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}

    @contextmanager
    def stage(label: str) -> Iterator[OnProgress]:
        told[label] = []
        yield lambda done, total: told[label].append((done, total))

    feed = write_csv(tmp_path / "feed.csv", [{"title": f"Shirt {n}"} for n in range(1300)])
    prepare(feed, tmp_path / "catalog", stage=stage)
    assert list(told) == ["counting rows", "checking rows", "writing rows", "writing the report"]
    assert told["checking rows"] == [(0, 1300), (512, 1300), (1024, 1300), (1300, 1300)]
    assert told["writing rows"][-1] == (1300, 1300)


def test_counting_a_large_feed_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    (tmp_path / "a.csv").write_text("title\n" + "Shirt\n" * 700)
    (tmp_path / "b.jsonl").write_text('{"title": "Shirt"}\n' * 1500)
    open_feed(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(1000, None), (2000, None)]


def test_photos_of_a_large_feed_are_not_held(tmp_path: Path) -> None:
    """Row groups are flushed as rows come; a run that kept them would find 150 rows in the last batch."""
    rows = [{"title": f"Shirt {n}"} for n in range(150)]
    prepare(write_csv(tmp_path / "feed.csv", rows), tmp_path / "catalog")
    metadata = pq.read_metadata(tmp_path / "catalog/rows/part-00000.parquet")
    assert [metadata.row_group(g).num_rows for g in range(3)] == [64, 64, 22]


def test_when_nothing_can_be_kept_the_reasons_are_told(tmp_path: Path) -> None:
    feed = write_csv(tmp_path / "feed.csv", [{"title": "", "image": "x.jpg"}, {"title": "", "image": ""}])
    with pytest.raises(
        FeedError, match=r"^none of the 2 rows of .*feed.csv can be kept \(no title, and no photo"
    ) as raised:
        prepare(feed, tmp_path / "catalog")
    beside = tmp_path / "catalog.rejected.parquet"
    assert f"{beside} lists them all" in str(raised.value)
    assert [row["row"] for row in pq.read_table(beside).to_pylist()] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.rejected.parquet", "feed.csv"]


def test_the_list_of_rejected_rows_is_no_feed_and_replaces_none(tmp_path: Path) -> None:
    write_csv(tmp_path / "feed.csv", [{"title": ""}])
    mine = tmp_path / "catalog.rejected.parquet"
    pq.write_table(pa.table({"title": ["A catalogue of rejected shirts"]}), mine)
    data = mine.read_bytes()
    for _ in range(2):  # the second time the first one's list is there
        with pytest.raises(FeedError, match=r"the only row .*catalog-1\.rejected\.parquet lists them all"):
            prepare(tmp_path / "*.csv", tmp_path / "catalog")
    assert mine.read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 3
    manifest = prepare(tmp_path, tmp_path / "catalog")  # the user's own file is read, the list is not
    assert [Path(source).name for source in manifest.sources] == ["catalog.rejected.parquet", "feed.csv"]
    assert manifest.counts == Counts(input=2, kept=0, repaired=1, set_aside=1)


def test_a_catalogue_survives_a_run_that_keeps_nothing(feed: Path, tmp_path: Path) -> None:
    manifest = prepare(feed, tmp_path / "catalog")
    bad = write_csv(tmp_path / "bad.csv", [{"title": ""}])
    with pytest.raises(FeedError, match=r"^the only row of .* cannot be kept"):
        prepare(bad, tmp_path / "catalog", overwrite=True)
    assert Manifest.read(tmp_path / "catalog") == manifest


def test_the_feed_is_never_overwritten(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is not a catalogue"):
        prepare(feed, feed.parent, overwrite=True)
    manifest = prepare(feed, tmp_path / "catalog")
    with pytest.raises(CatalogError, match="which would be replaced"):
        prepare(tmp_path / "catalog/rows/*.parquet", tmp_path / "catalog", overwrite=True)
    assert Manifest.read(tmp_path / "catalog") == manifest


def test_what_stands_in_the_way_is_said_before_the_feed_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/work").touch()
    with pytest.raises(CatalogError, match="exists already"):
        prepare(tmp_path / "no such feed.csv", tmp_path / "mine")


def test_folders_of_the_user_beside_the_catalogue_stay(feed: Path, tmp_path: Path) -> None:
    for name in ("catalog.old", "catalog.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.doc").write_text(name)
    prepare(feed, tmp_path / "catalog")
    prepare(feed, tmp_path / "catalog", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog", "catalog.old", "catalog.partial", "shop"]
    assert [path.name for path in sorted(tmp_path.glob("catalog.*/*"))] == ["thesis.doc"] * 2


def test_file_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / os.fsdecode(b"caf\xe9")
    folder.mkdir(parents=True)
    feed = write_csv(folder / os.fsdecode(b"caf\xe9.csv"), [{"title": "Red shirt"}, {"title": ""}])
    with (folder / "feed.parquet").open("wb") as file:
        pq.write_table(pa.table({"title": ["Blue shirt"]}), file)
    manifest = prepare(folder, tmp_path / "catalog", command=f"item prepare {feed}")
    assert manifest.sources == [f"{tmp_path}/shop/caf\ufffd/{name}" for name in ("caf\ufffd.csv", "feed.parquet")]
    assert manifest.command.endswith("caf\ufffd.csv")
    assert manifest.counts == Counts(input=3, kept=0, repaired=2, set_aside=1)
    assert [row["source"] for row in rejected_rows(tmp_path / "catalog")] == ["caf\ufffd.csv"]
    assert Catalog(tmp_path / "catalog").manifest == manifest
    with pytest.raises(CatalogError, match="caf\ufffd/catalog has a name that is not UTF-8 in its path"):
        prepare(feed, folder / "catalog")


def test_a_column_name_with_half_a_character(tmp_path: Path) -> None:
    (tmp_path / "feed.jsonl").write_text('{"title\\ud800": "Red shirt", "price\\udfff": 3}')
    assert prepare(tmp_path / "feed.jsonl", tmp_path / "catalog").columns["title"] == "title\ufffd"


def test_pillow_does_not_speak_to_the_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = encoded(picture(), "TIFF")
    at = odd.index((277).to_bytes(2, "little"))  # samples per pixel, the tag before its value
    odd = odd[: at + 8] + b"\xff\xff" + odd[at + 10 :]
    pq.write_table(pa.table({"title": ["Odd"], "image": [odd]}), tmp_path / "feed.parquet")
    manifest = prepare(tmp_path / "feed.parquet", tmp_path / "catalog")
    assert manifest.reasons == {"photo: not a readable image": 1}
    assert caplog.records == []


def test_a_feed_without_addresses_needs_no_cache(feed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert prepare(feed, tmp_path / "catalog", cache=tmp_path / "file").counts.input == 12


@pytest.mark.slow
def test_rows_of_any_depth_pass_through_several_processes(tmp_path: Path) -> None:
    rows = [
        json.dumps({"title": f"Shirt {depth}", "deep": "x"}).replace('"x"', "[" * depth + "]" * depth)
        for depth in (1, 50, 98, 99, 100, 101, 500, 900, 2000)
    ]
    (tmp_path / "feed.jsonl").write_text("\n".join(rows))
    one, two = (prepare(tmp_path / "feed.jsonl", tmp_path / f"by {n}", workers=n) for n in (1, 2))
    assert one.files == two.files
    assert one.counts == Counts(input=9, kept=0, repaired=4, set_aside=5)


def test_processes_change_nothing_in_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "ROWS", 40)
    (tmp_path / "a.jpg").write_bytes(_JPEG)
    rows = [{"id": str(n % 250), "title": f"Shirt {n % 70}", "image": "a.jpg" if n % 3 else ""} for n in range(300)]
    feed = write_csv(tmp_path / "feed.csv", rows)
    assert prepare(feed, tmp_path / "one", workers=1).files == prepare(feed, tmp_path / "more", workers=2).files


def test_an_images_folder_must_exist(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="there is no folder nowhere to look up images in"):
        prepare(feed, tmp_path / "catalog", images="nowhere")


_TITLES = ["Red shirt", "red  SHIRT", "Blue &amp; mug", "cafÃ© cup", "nan", "", "  ", "\x07", "long " * 200, None, 12]
_IMAGES: list[Any] = [
    _JPEG,
    encoded(picture(seed=3)),
    _JPEG[:200],
    b"",
    b"text",
    None,
    "../x.jpg",
    "/x.jpg",
    "a.jpg",
    5,
]
_IMAGES += ["http://a/b.jpg", {"bytes": _JPEG}, {"path": "a.jpg"}, [], [_JPEG, _JPEG]]
_DIRTY_ROWS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", "2", "3", " 1", 1, "row-2", "", None, "x\0y"]),
        "title": st.sampled_from(_TITLES) | st.text(max_size=6),
        "image": st.sampled_from(_IMAGES[5:11] + _IMAGES[13:14]),
        "product_id": st.sampled_from(["p", "q", "", None]),
        "category": st.sampled_from(["A > B", ["A", "B"], None, 3]),
        "more": st.none() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    },
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(_DIRTY_ROWS | st.sampled_from(["broken {", "[1]", '"x"']), min_size=1, max_size=8))
def test_any_objects_add_up(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("feed")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in [{"id": "first", "title": "First"}, *rows]]
    (folder / "feed.jsonl").write_text("\n".join(lines), encoding="utf8")
    (folder / "a.jpg").write_bytes(_JPEG)
    _check_sums(folder / "feed.jsonl", len(rows) + 1)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from(["1", "2", "", "Red shirt", "a.jpg", '"', '"open', "x\0", "\r"]), max_size=6),
        max_size=8,
    )
)
def test_any_lines_add_up(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    folder = tmp_path_factory.mktemp("feed")
    text = "\n".join(["id,title,image,more", "first,First,,", *(",".join(row) for row in rows)])
    (folder / "feed.csv").write_text(text, newline="", encoding="utf8")
    (folder / "a.jpg").write_bytes(_JPEG)
    _check_sums(folder / "feed.csv", None)


@settings(max_examples=30, deadline=None)
@given(
    picks=st.lists(
        st.tuples(st.sampled_from(["1", "2", None, ""]), st.sampled_from(_TITLES[:-1]), st.integers(0, 4)), max_size=8
    )
)
def test_any_photos_add_up(
    tmp_path_factory: pytest.TempPathFactory, picks: list[tuple[str | None, str | None, int]]
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    ids, titles, images = zip(("first", "First", 0), *picks, strict=True)
    table = pa.table({"id": list(ids), "title": list(titles), "image": [_IMAGES[number] for number in images]})
    pq.write_table(table, folder / "feed.parquet")
    _check_sums(folder / "feed.parquet", len(picks) + 1)


def _check_sums(feed: Path, expected: int | None) -> None:
    """Every row is in the catalogue or among the rejected, once; the counts say the same."""
    out = feed.parent / "catalog"
    counts = prepare(feed, out).counts
    kept, rejected = kept_rows(out), rejected_rows(out)
    assert counts.kept + counts.repaired + counts.set_aside == counts.input
    assert counts.input == (expected if expected is not None else counts.input)
    assert counts.repaired == sum(bool(row["repairs"]) for row in kept)
    assert counts.kept + counts.repaired == len(kept)
    assert counts.set_aside == len(rejected)
    assert len({row["id"] for row in kept}) == len(kept)
    assert all(row["title"] or row["image"] for row in kept)
    assert all(row["reason"] for row in rejected)
    assert np.all(np.diff([row["row"] for row in rejected]) > 0)
    assert len(Catalog(out)) == len(kept)
