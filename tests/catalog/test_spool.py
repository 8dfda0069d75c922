from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.rows import NO_KEY, Keys
from item_embed.catalog.spool import STORED, Change, Spool, SpooledRow
from item_embed.hashing import text_hash


def spooled(number: int, identity: str | None = None, source: int = 0, image: bytes | None = b"photo") -> SpooledRow:
    """A row that is kept if it has an id."""
    if identity is None:
        return SpooledRow(number, "feed.csv", "{}", reason="row: bad")
    stored = dict.fromkeys(STORED.names) | {
        "id": identity,
        "title": f"title {number}",
        "image": image,
        "metadata": "{}",
        "repairs": ("photo: x",) if number % 2 else (),
        "source": source,
    }
    return SpooledRow(number, "feed.csv", "{}", stored, Keys(number, NO_KEY, 7, NO_KEY), Change.CHANGED)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.write(0, [spooled(1, "a", 5), spooled(2)])
    spool.write(1, [spooled(3, "b")])
    rows = spool.rows(0).to_pylist()
    assert [row["id"] for row in rows] == ["a", None]
    assert [row["reason"] for row in rows] == [None, "row: bad"]
    assert [row["row"] for row in rows] == [1, 2]
    assert rows[0]["image"] == b"photo"
    keys = spool.keys(2)
    assert keys.counts.tolist() == [2, 1]
    assert list(keys.chunk_slices()) == [slice(0, 2), slice(2, 3)]
    assert keys.column("kept").tolist() == [True, False, True]
    assert keys.column("id").tolist() == [text_hash("a"), NO_KEY, text_hash("b")]
    assert keys.column("product_id").tolist() == [1, NO_KEY, 3]
    assert keys.column("source").tolist() == [5, NO_KEY, 0]
    assert keys.column("change").tolist() == [1, 0, 1]
    assert np.all(keys.column("id_check")[[0, 2]] != keys.column("id")[[0, 2]])


@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "keys cut", "keys gone"])
def test_chunks_count_up_to_the_first_that_is_not_whole(tmp_path: Path, harm: str) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(4):
        spool.write(number, [spooled(n, str(n)) for n in range(number + 1)])
    assert spool.whole_chunks() == (4, 10)
    rows, keys = tmp_path / "spool/00000002.arrow", tmp_path / "spool/00000002.keys"
    match harm:
        case "gone":
            rows.unlink()
        case "cut":
            rows.write_bytes(rows.read_bytes()[:-20])
        case "empty":
            rows.write_bytes(b"")
        case "keys cut":
            keys.write_bytes(keys.read_bytes()[:100])
        case "keys gone":
            keys.unlink()
    assert spool.whole_chunks() == (2, 3)


def test_an_empty_spool_has_no_chunk(tmp_path: Path) -> None:
    assert Spool(tmp_path / "spool").whole_chunks() == (0, 0)
