import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.errors import VectorError
from item_embed.search.duplicates.result import SCHEMA, Clusters, Earlier, number_clusters

_LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def dense(labels: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Numbered from 0 without gaps."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


@given(_LABELS, _LABELS)
def test_numbers_stay_with_most_of_their_listings(before: list[int], now: list[int]) -> None:
    ids = [str(number) for number in range(len(now))]
    old = {str(number): 10 + label for number, label in enumerate(before)}
    labels = dense(now)
    numbers, following = number_clusters(ids, labels, Earlier(old, 20))
    assert len(set(numbers.tolist())) == len(numbers) == labels.max() + 1
    new = [int(number) for number in numbers if number >= 20]
    assert new == list(range(20, 20 + len(new)))
    assert following == 20 + len(new)
    shared = {
        (label, number): sum(labels[int(key)] == label and old.get(key) == number for key in ids)
        for label in range(len(numbers))
        for number in set(old.values())
    }
    for (label, number), count in shared.items():  # who has not got a number it shares with has another, or lost it
        if count and numbers[label] != number:
            holder = np.flatnonzero(numbers == number)
            own = shared.get((label, int(numbers[label])), 0)
            assert own >= count or (len(holder) and shared[int(holder[0]), number] >= count)


def test_equal_clusters_keep_all_their_numbers() -> None:
    ids, labels = list("abcde"), np.array([0, 1, 0, 2, 2])
    first, following = number_clusters(ids, labels)
    assert (first.tolist(), following) == ([0, 1, 2], 3)
    order = [4, 3, 2, 1, 0]
    again = number_clusters(
        [ids[i] for i in order], dense(labels[order].tolist()), Earlier(dict(zip(ids, labels.tolist(), strict=True)), 3)
    )
    assert again[1] == 3
    assert again[0][dense(labels[order].tolist())].tolist() == labels[order].tolist()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    clusters = Clusters(
        ids=["a", "b", "c", "d"],
        labels=np.array([0, 1, 0, 0]),
        numbers=np.array([7, 3]),
        next_number=9,
        masters=np.array([2, 1]),
        why={0: "photo"},
        cosine=np.array([0.9, 1, 1, 0.95], np.float32),
        confidence=np.array([0.8, np.nan, 0.8, 0.97]),
    )
    assert clusters.sizes.tolist() == [3, 1]
    assert clusters.lowest(clusters.confidence if clusters.confidence is not None else clusters.cosine).tolist() == [
        0.8,
        np.inf,
    ]
    clusters.write(tmp_path, ["=cmd()", "b", None, "d"])
    return tmp_path


def test_the_table_has_every_listing_in_the_order_of_the_index(written: Path) -> None:
    table = pq.ParquetFile(written / "clusters.parquet").read()
    assert table.schema.remove_metadata().equals(SCHEMA)
    rows = table.to_pylist()
    assert [(row["id"], row["cluster"], row["size"], row["master"]) for row in rows] == [
        ("a", 7, 3, "c"),
        ("b", 3, 1, "b"),
        ("c", 7, 3, "c"),
        ("d", 7, 3, "c"),
    ]
    assert [row["is_master"] for row in rows] == [False, True, True, False]
    assert [row["why"] for row in rows] == [None, None, "photo", None]
    assert [row["cosine"] for row in rows] == pytest.approx([0.9, None, None, 0.95])
    assert [row["confidence"] for row in rows] == pytest.approx([0.8, None, 0.8, 0.97])


def test_the_list_for_people_has_clusters_of_several_with_the_master_first(written: Path) -> None:
    with (written / "clusters.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["c", "a", "d"]
    assert [row["is_master"] for row in rows] == ["yes", "no", "no"]
    assert [row["title"] for row in rows] == ["", "'=cmd()", "d"]  # a spreadsheet would run the title
    assert rows[1]["confidence"] == "0.8000"


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_a_spreadsheet_runs_nothing(tmp_path: Path, text: str) -> None:
    labels, cosine = np.zeros(2, np.int64), np.ones(2, np.float32)
    clusters = Clusters([text, f" {text}"], labels, np.zeros(1, np.int64), 1, labels[:1], {0: text}, cosine, None)
    clusters.write(tmp_path, [text, None])
    with (tmp_path / "clusters.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0][name] for name in ("id", "why", "title")] == [f"'{text}"] * 3
    assert [rows[1][name] for name in ("id", "why", "title")] == [f" {text}", "", ""]
    assert pq.ParquetFile(tmp_path / "clusters.parquet").read()["id"].to_pylist() == [text, f" {text}"]


def test_an_earlier_run_is_read_again(written: Path) -> None:
    earlier = Earlier.read(written / "clusters.parquet")
    assert (earlier.numbers, earlier.next_number) == ({"a": 7, "b": 3, "c": 7, "d": 7}, 9)
    (written / "clusters.parquet").write_bytes(b"garbage")
    with pytest.raises(VectorError, match="damaged"):
        Earlier.read(written / "clusters.parquet")
