import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.feeds.feed import open_feed
from item_embed.errors import FeedError


def test_a_folder_of_all_kinds_is_one_feed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,one\n2,two\n")
    (tmp_path / "b.tsv").write_text("id\tname\n3\tthree\n")
    (tmp_path / "c.jsonl").write_text('{"id": 4, "title": "four"}\nbroken\n')
    (tmp_path / "d.ndjson").write_text('{"id": 6, "price": 1}\n')
    pq.write_table(pa.table({"id": [7], "image": [b"x"]}), tmp_path / "E.PARQUET")
    (tmp_path / "_part.csv").write_text("id,other\n8,x\n")  # as Spark marks what is no data
    (tmp_path / ".hidden.csv").write_text("id,other\n8,x\n")
    (tmp_path / "readme.txt").write_text("no feed")
    feed = open_feed(tmp_path)
    assert feed.columns == ("id", "image", "title", "name", "price")
    assert feed.size == 7
    rows = list(feed.rows())
    assert [number for number, _, _ in rows] == [1, 2, 3, 4, 5, 6, 7]
    names = ["E.PARQUET", "a.csv", "a.csv", "b.tsv", "c.jsonl", "c.jsonl", "d.ndjson"]
    assert [feed.name(path) for _, path, _ in rows] == names


def test_a_glob_is_read_in_order(tmp_path: Path) -> None:
    for name in ("b/1.csv", "a/2.csv", "a/1.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"title\n{name}\n")
    feed = open_feed(f"{tmp_path}/**/*.csv")
    assert [record.values["title"] for _, _, record in feed.rows()] == ["a/1.csv", "a/2.csv", "b/1.csv"]
    assert [feed.name(path) for path in feed.files] == ["a/1.csv", "a/2.csv", "b/1.csv"]


def test_a_name_with_pattern_marks_is_still_a_name(tmp_path: Path) -> None:
    (tmp_path / "feed[1].csv").write_text("title\nshirt\n")
    assert open_feed(tmp_path / "feed[1].csv").size == 1


def test_columns_of_objects_are_collected_from_all_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"id": n, f"c{n}": n}) for n in range(3)))
    assert open_feed(tmp_path / "a.jsonl").columns == ("id", "c0", "c1", "c2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", r"^there is no file .*nowhere.csv\.$"),
        ("*.tsv", r"\*.tsv matches no feed: the name of a feed ends in .csv"),
        ("empty.csv", "empty.csv holds no rows; export the feed again"),
        ("header.csv", "header.csv holds no rows"),
        ("norows.parquet", "norows.parquet holds no rows"),
        ("blank.jsonl", "blank.jsonl holds no rows"),
        ("folder", "the folder .*folder holds no feed directly"),
        ("catalog", "catalog is a prepared catalogue already"),
        ("feed.xlsx", r"feed.xlsx is not a feed but a workbook: open it and save each sheet as CSV UTF-8\.$"),
        ("feed.txt", r"feed.txt is not a feed: the name of a feed ends in .csv, .tsv"),
        ("text.parquet", "text.parquet is damaged or not what its name says"),
        ("cut.parquet", "cut.parquet is damaged or not what its name says"),
        ("really.csv", "really.csv is a Parquet file, not text"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("id,title\n")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    (tmp_path / "feed.xlsx").write_text("x")
    (tmp_path / "feed.txt").write_text("x")
    (tmp_path / "text.parquet").write_text("id,title\n1,shirt\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog/manifest.json").touch()
    (tmp_path / "catalog/rejected.parquet").touch()
    pq.write_table(pa.table({"title": pa.array([], pa.string())}), tmp_path / "norows.parquet")
    pq.write_table(pa.table({"title": ["shirt"] * 100}), tmp_path / "really.parquet")
    whole = (tmp_path / "really.parquet").read_bytes()
    (tmp_path / "really.csv").write_bytes(whole)
    (tmp_path / "cut.parquet").write_bytes(whole[:50])
    with pytest.raises(FeedError, match=message) as raised:
        open_feed(tmp_path / source)
    assert "\n" not in str(raised.value)


def test_damage_in_the_middle_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"title": [f"shirt {n}" for n in range(10_000)]}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[200:2000] = bytes(1800)
    path.write_bytes(data)
    feed = open_feed(path)
    with pytest.raises(FeedError, match=r"feed.parquet (is damaged|cannot be read)"):
        list(feed.rows())


@settings(max_examples=25, deadline=None)
@given(
    files=st.lists(
        st.tuples(st.sampled_from([".csv", ".csv.gz", ".jsonl", ".parquet"]), st.integers(0, 140)),
        min_size=1,
        max_size=4,
    )
)
def test_a_row_and_its_number_are_the_same_however_many_were_skipped(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    for place, (suffix, size) in enumerate(files):
        _write(folder / f"{place}{suffix}", [f"{place} {n}" for n in range(size)])
    if not sum(size for _, size in files):
        with pytest.raises(FeedError, match="holds no rows"):
            open_feed(folder)
        return
    feed = open_feed(folder)
    rows = list(feed.rows())
    assert feed.size == len(rows)
    assert [number for number, _, _ in rows] == list(range(1, feed.size + 1))
    for skip in {*range(0, feed.size + 2, 37), *range(60, 70), feed.size - 1, feed.size}:
        assert list(feed.rows(skip)) == rows[skip:]


def _write(path: Path, titles: list[str]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"title": pa.array(titles, pa.string())}), path, row_group_size=50)
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps({"title": title}) for title in titles))
    else:
        data = "".join(f'"{title}"\n\n' for title in ["title", *titles]).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_files_before_the_skipped_row_are_not_opened_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title\none\ntwo\n")
    (tmp_path / "b.csv").write_text("title\nthree\n")
    feed = open_feed(tmp_path)
    (tmp_path / "a.csv").unlink()
    assert [(number, record.values["title"]) for number, _, record in feed.rows(2)] == [(3, "three")]
    with pytest.raises(FeedError, match=r"a\.csv cannot be read: there is no such file"):
        list(feed.rows(1))


def test_a_file_that_grew_or_shrank_since_it_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("title\none\ntwo\n")
    feed = open_feed(path)
    path.write_text("title\none\ntwo\nthree\n")
    assert len(list(feed.rows())) == feed.size == 2
    path.write_text("title\none\n")
    with pytest.raises(FeedError, match=r"a\.csv has fewer rows than when they were counted"):
        list(feed.rows())


def test_the_stamp_is_of_all_files_wherever_they_lie(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("a.csv", "b.csv"):
            (tmp_path / folder / name).write_text("title\nshirt\n")
            os.utime(tmp_path / folder / name, ns=(0, 10**18))
    stamp = open_feed(tmp_path / "one").stamp
    assert open_feed(tmp_path / "two").stamp == stamp
    os.utime(tmp_path / "two/b.csv", ns=(0, 10**18 + 1))
    assert open_feed(tmp_path / "two").stamp != stamp
    (tmp_path / "one/b.csv").rename(tmp_path / "one/c.csv")
    assert open_feed(tmp_path / "one").stamp != stamp
