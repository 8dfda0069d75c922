import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.feeds import delimited
from item_embed.catalog.feeds.delimited import STRAY_QUOTE, TOO_FEW, TOO_MANY, TRAILING
from item_embed.catalog.feeds.places import local_file
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED
from item_embed.errors import FeedError


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return tmp_path / "feed.csv"


def _read(feed: Path, data: str | bytes) -> list[Record]:
    feed.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(delimited.read(local_file(feed)))


def _fates(records: list[Record]) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(record.problem, record.repairs) for record in records]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(feed: Path, delimiter: str) -> None:
    rows = [["id", "title", "image"], ["1", '"a red, small; shirt"', "x.jpg"]]
    records = _read(feed, "\n".join(map(delimiter.join, rows)))
    assert records == [Record({"id": "1", "title": "a red, small; shirt", "image": "x.jpg"})]


def test_a_hint_for_excel_is_no_header(feed: Path) -> None:
    assert _read(feed, "sep=;\nid;title, long\n1;shirt\n") == [Record({"id": "1", "title, long": "shirt"})]


def test_a_file_of_one_column_may_hold_commas(feed: Path) -> None:
    assert _read(feed, "title\nshirt, red\n") == [Record({"title": "shirt, red"})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_files_are_read_as_they_are(feed: Path, encoding: str) -> None:
    records = _read(feed, "id,title\n1,café crème für 5 €\n".encode(encoding))
    assert records == [Record({"id": "1", "title": "café crème für 5 €"})]


def test_one_line_of_windows_1252_is_named_and_spoils_no_other(feed: Path) -> None:
    records = _read(feed, "id,title\n1,café\n".encode() + "2,crème • 5 €\n".encode("cp1252") + b"3,\x81\n")
    assert [record.values["title"] for record in records] == ["café", "crème • 5 €", "\x81"]
    assert [record.repairs for record in records] == [(), (MENDED,), (MENDED,)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_quoted_line_breaks(feed: Path, end: str) -> None:
    records = _read(feed, end.join(["id,title", '1,"two', 'lines, ""one"" title"', "2,shirt", ""]))
    assert [record.values["id"] for record in records] == ["1", "2"]
    assert records[0].values["title"].split() == ["two", "lines,", '"one"', "title"]
    assert not records[0].repairs


def test_empty_lines_are_no_rows(feed: Path) -> None:
    assert len(_read(feed, "\n\nid,title\n\n1,a\n\n   \n2,b\n\n\n")) == 2


def test_an_empty_field_in_quotes_is_a_row(feed: Path) -> None:
    assert _read(feed, 'title\n""\n\nshirt\n') == [Record({"title": ""}), Record({"title": "shirt"})]


def test_rows_of_a_wrong_width(feed: Path) -> None:
    records = _read(feed, "id,title,image\n1,a\n2,a,b,c\n3,a,b,,\n4,a,b\n")
    assert _fates(records) == [(TOO_FEW, ()), (TOO_MANY, ()), (None, (TRAILING,)), (None, ())]
    assert records[1].values == {"id": "2", "title": "a", "image": "b", "fields beyond the header": ["c"]}
    assert records[2].values == {"id": "3", "title": "a", "image": "b"}


def test_a_stray_quotation_mark_costs_no_other_row(feed: Path) -> None:
    records = _read(feed, 'id,title,image\n1,"stray,a\n2,fine,b\n3,"quoted, yes",c\n4,fine,d\n')
    assert [record.values["id"] for record in records] == ["1", "2", "3", "4"]
    assert records[0] == Record({"id": "1", "title": "stray", "image": "a"}, (STRAY_QUOTE,))
    assert records[2].values["title"] == "quoted, yes"
    assert _fates(records[1:]) == [(None, ())] * 3


def test_a_stray_mark_in_the_last_row(feed: Path) -> None:
    records = _read(feed, 'id,title,image\n1,"stray,a')
    assert records == [Record({"id": "1", "title": "stray", "image": "a"}, (STRAY_QUOTE,))]


def test_a_row_with_several_marks_of_which_one_is_stray_is_set_aside(feed: Path) -> None:
    records = _read(feed, 'id,title,image\n1,"a, b","stray\n2,fine,b\n')
    assert _fates(records) == [(STRAY_QUOTE, ()), (None, ())]


@pytest.mark.parametrize("closing", ["", '3,fine,"quoted"\n', '3,"quoted",fine\n', '"3",fine,fine\n'])
def test_a_stray_mark_in_the_last_field_swallows_nothing(feed: Path, closing: str) -> None:
    records = _read(feed, f'id,title,image\n1,a,"stray\n2,fine,b\n{closing}')
    assert records[0] == Record({"id": "1", "title": "a", "image": "stray"}, (STRAY_QUOTE,))
    assert [record.values["id"] for record in records] == ["1", "2", "3"][: 3 if closing else 2]
    assert _fates(records[1:]) == [(None, ())] * (len(records) - 1)


def test_marks_inside_a_field_are_text(feed: Path) -> None:
    assert _read(feed, 'id,title\n1,TV 40" wide\n') == [Record({"id": "1", "title": 'TV 40" wide'})]


def test_a_quote_that_never_closes_is_given_up_after_a_thousand_lines(feed: Path) -> None:
    records = _read(feed, 'id,title,image\n1,"stray,a\n' + "2,fine,b\n" * 5000)
    assert len(records) == 5001
    assert sum(record.problem is None for record in records) == 5001


def test_zero_bytes_and_huge_fields_are_read(feed: Path) -> None:
    records = _read(feed, f"id,title\n1,a\0b\n2,{'x' * 300_000}\n")
    assert records[0].values["title"] == "a\0b"
    assert len(records[1].values["title"]) == 300_000


def test_names_of_columns(feed: Path) -> None:
    feed.write_bytes(b"\xef\xbb\xbf id ,,title,title,caf\xe9\n")
    assert delimited.columns(local_file(feed)) == ["id", "column_2", "title", "title_4", "café"]


@pytest.mark.parametrize("data", ["", "\n\n", "id,title\n"])
def test_a_file_without_rows(feed: Path, data: str) -> None:
    assert _read(feed, data) == []


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PK\x03\x04", "zip or Excel"), (b"\xd0\xcf\x11\xe0", "old Excel"), (b"PAR1", "Parquet")]
)
def test_other_files_under_this_name(feed: Path, start: bytes, kind: str) -> None:
    with pytest.raises(FeedError, match=f"feed.csv is an? {kind} file, not text"):
        _read(feed, start + b"rest")


_FIELD = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 99).map(str), _FIELD, _FIELD), max_size=6),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "title", "image"), *rows])
    feed = tmp_path_factory.mktemp("feed") / "feed.csv"
    assert [tuple(record.values.values()) for record in _read(feed, buffer.getvalue())] == rows
    assert all(record.problem is None for record in delimited.read(local_file(feed)))


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.text(alphabet='a",\n\r', max_size=12), max_size=8))
def test_any_text_is_read_and_no_line_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    feed = tmp_path_factory.mktemp("feed") / "feed.csv"
    records = _read(feed, "id,title\n" + "\n".join(lines))
    written = sum(line.count("a") for line in lines)
    read = sum(str(record.values).count("a") - "".join(record.values).count("a") for record in records)
    assert read == written


@settings(max_examples=50, deadline=None)
@given(lines=st.lists(st.text(alphabet='a",\n\r \t', max_size=12), max_size=8), skip=st.integers(0, 9))
def test_rows_are_counted_and_skipped_as_they_are_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], skip: int
) -> None:
    feed = tmp_path_factory.mktemp("feed") / "feed.csv"
    records = _read(feed, "id,title\n" + "\n".join(lines))
    assert sum(1 for _ in delimited.tick(local_file(feed))) == len(records)
    assert list(delimited.read(local_file(feed), skip)) == records[skip:]
