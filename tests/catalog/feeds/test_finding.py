from pathlib import Path

import pytest

from item_embed.catalog.feeds.finding import find_files, kind
from item_embed.errors import FeedError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("feed.csv", ".csv"),
        ("FEED.JSONL.GZ", ".jsonl"),
        ("shop.2024.tsv.zst", ".tsv"),
        ("part-0.snappy.parquet", ".parquet"),
        ("feed.pq.gz", None),
        ("feed.gz", None),
        ("feed.txt", None),
        ("csv", None),
        (".csv", None),
    ],
)
def test_what_a_name_says(name: str, expected: str | None) -> None:
    assert kind(name) == expected


@pytest.mark.parametrize("name", ["feed 1.csv", "feed%31.csv", "f\u00e9ed.csv"])
def test_a_file_url_is_a_local_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("title\nshirt\n")
    for url in ((tmp_path / name).as_uri(), f"file://{tmp_path}/{name}", f"file://localhost{tmp_path}/{name}"):
        (file,) = find_files(url)
        assert file.is_local
        assert file.path == tmp_path / name
        assert file.folder == tmp_path


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    for name in ("listings.csv", "photos.csv", "listings.txt"):
        (tmp_path / name).write_text("title\nshirt\n")
    for misspelt in ("listing.csv", "Listings.CSV", "lisitngs.csv"):
        with pytest.raises(FeedError, match=rf"^there is no file .*{misspelt}; did you mean .*/listings\.csv\?$"):
            find_files(str(tmp_path / misspelt))
    with pytest.raises(FeedError, match=r"nowhere\.csv\.$"):
        find_files(str(tmp_path / "nowhere.csv"))
    with pytest.raises(FeedError, match=r"absent/feed\.csv\.$"):
        find_files(str(tmp_path / "absent/feed.csv"))


def test_a_folder_of_workbooks_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "~$feed.xlsx").touch()
    (tmp_path / "feed.xlsx").touch()
    with pytest.raises(
        FeedError, match=r"holds no feed, but a workbook, feed\.xlsx: open it and save each sheet as CSV"
    ):
        find_files(str(tmp_path))


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    stamps = set()
    for text in ("title\na\n", "title\nb\n", "title\nbb\n"):
        path.write_text(text)
        stamps.add(find_files(str(path))[0].stamp)
        assert find_files(str(tmp_path))[0].stamp in stamps
    assert len(stamps) == 3
