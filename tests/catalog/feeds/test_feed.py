import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
        ("feed.xlsx", r"feed.xlsx is not a feed: the name of a feed ends in .csv, .tsv"),
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
