import bz2
import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.feeds.feed import open_feed
from item_embed.errors import FeedError


def _zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": _zstandard,
}
packings = pytest.mark.parametrize("packing", PACK)


def _titles(path: Path) -> list[str]:
    feed = open_feed(path)
    titles = [record.values["title"] for _, _, record in feed.rows()]
    assert feed.size == len(titles)
    return titles


@packings
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_packed_text_is_read_in_any_encoding(tmp_path: Path, packing: str, encoding: str) -> None:
    for name, text in {
        "a.csv": "id,title\n1,café\n",
        "b.tsv": "id\ttitle\n1\tcafé\n",
        "c.jsonl": '{"title": "café"}',
    }.items():
        (tmp_path / f"{name}{packing.upper()}").write_bytes(PACK[packing](text.encode(encoding)))
    assert _titles(tmp_path) == ["café"] * 3


@packings
def test_many_rows_and_several_streams_behind_each_other(tmp_path: Path, packing: str) -> None:
    lines = [f"{n},shirt {n}\n".encode() for n in range(20_000)]
    parts = [b"id,title\n", *(b"".join(lines[n : n + 5000]) for n in range(0, 20_000, 5000))]
    (tmp_path / f"feed.csv{packing}").write_bytes(b"".join(map(PACK[packing], parts)))
    assert _titles(tmp_path / f"feed.csv{packing}") == [f"shirt {n}" for n in range(20_000)]


@packings
def test_the_bytes_say_whether_it_is_packed_and_not_the_name(tmp_path: Path, packing: str) -> None:
    (tmp_path / "feed.csv").write_bytes(PACK[packing](b"title\nshirt\n"))
    assert _titles(tmp_path / "feed.csv") == ["shirt"]
    (tmp_path / f"feed.csv{packing}").write_bytes(b"title\nshirt\n")
    assert _titles(tmp_path / f"feed.csv{packing}") == ["shirt"]


def test_a_column_may_be_called_as_bzip2_begins(tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_bytes(b"BZh9,title\n1,shirt\n")
    assert _titles(tmp_path / "feed.csv") == ["shirt"]


@packings
@pytest.mark.parametrize("length", [7, 200, -1])
def test_a_file_that_was_cut_short_is_one_sentence(tmp_path: Path, packing: str, length: int) -> None:
    whole = PACK[packing](b"title\n" + b"".join(b"shirt %d\n" % (n * n) for n in range(1000)))
    (tmp_path / f"feed.csv{packing}").write_bytes(whole[:length])
    with pytest.raises(FeedError, match=r"feed\.csv\.\w+ is damaged or not what its name says: .+\.$") as raised:
        open_feed(tmp_path / f"feed.csv{packing}")
    assert "\n" not in str(raised.value)


def test_what_is_called_packed_and_is_neither_packed_nor_text(tmp_path: Path) -> None:
    (tmp_path / "feed.csv.gz").write_bytes(b"\x1e\x8b\x08\x00rubbish")
    with pytest.raises(FeedError, match=r"says: it does not begin as a \.gz file does\.$"):
        open_feed(tmp_path / "feed.csv.gz")


def test_a_workbook_that_was_packed_is_named(tmp_path: Path) -> None:
    (tmp_path / "feed.csv.gz").write_bytes(gzip.compress(b"PK\x03\x04rest"))
    with pytest.raises(FeedError, match=r"is a zip or Excel file, not text"):
        open_feed(tmp_path / "feed.csv.gz")


def test_a_packed_feed_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    row = b"1," + b"x" * 10_000 + b"\n"
    (tmp_path / "feed.csv.gz").write_bytes(gzip.compress(b"id,title\n") + gzip.compress(row * 500) * 4)
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_feed(tmp_path / "feed.csv.gz").rows()) == 2000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # of 20 million
    finally:
        tracemalloc.stop()


_WHOLE = b"id,title\n" + b"".join(b'%d,"shirt %d"\n' % (n, n) for n in range(50))
_NAMES = [name + packing for name in (".csv", ".tsv", ".jsonl", ".ndjson") for packing in ("", *PACK)] + [
    ".parquet",
    ".pq",
]


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from(_NAMES),
    data=st.one_of(
        st.binary(max_size=300),
        st.sampled_from(["id,title\n1,", '{"title": ', "sep=;\n"]).flatmap(
            lambda start: st.text(max_size=60).map(lambda rest: (start + rest).encode("utf-8", "surrogatepass"))
        ),
        st.tuples(st.sampled_from(sorted(PACK)), st.binary(max_size=200)).map(lambda drawn: PACK[drawn[0]](drawn[1])),
        st.tuples(st.sampled_from(sorted(PACK)), st.integers(0, 400)).map(
            lambda drawn: PACK[drawn[0]](_WHOLE)[: drawn[1]]
        ),
        st.tuples(st.sampled_from(sorted(PACK)), st.integers(0, 400), st.binary(min_size=1, max_size=4)).map(
            lambda drawn: (packed := PACK[drawn[0]](_WHOLE))[: drawn[1]] + drawn[2] + packed[drawn[1] + len(drawn[2]) :]
        ),
    ),
)
def test_any_bytes_under_any_name_are_rows_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("feed") / f"feed{suffix}"
    path.write_bytes(data)
    try:
        feed = open_feed(path)
        numbers = [number for number, _, _ in feed.rows()]
    except FeedError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert str(error).endswith((".", "?"))  # noqa: PT017
    else:
        assert numbers == list(range(1, feed.size + 1))
