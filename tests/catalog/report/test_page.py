import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from item_embed.catalog.report.gathering import gather
from item_embed.catalog.report.page import render, write_report
from tests.catalog.report.made import Rejected, Row, clean_rows, noise, plain, write_folder

EVIL = "<script>alert('{}')</script>\"><img src=x onerror=alert(1)>"
VOID = {"meta", "img", "rect", "br"}


class Tags(HTMLParser):
    """The tags of a page; fails where one is not closed, and keeps what could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.sources += [str(value) for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """The page of a catalogue in which every text is an attack."""
    rows = [
        Row(
            EVIL.format(f"id {n}"),
            EVIL.format("title"),
            plain() if n % 3 else b"broken",
            category=EVIL.format("category"),
            product_id=EVIL.format("product"),
            repairs=(EVIL.format("repair"),),
            pixels=5,
        )
        for n in range(150)
    ]
    aside = [Rejected(EVIL.format("reason"), 3, EVIL.format("file"), EVIL.format("content"))]
    folder = write_folder(
        tmp_path / "catalog",
        rows,
        aside,
        sources=[EVIL.format("source")],
        columns={"title": EVIL.format("column")},
        command=EVIL.format("command"),
    )
    return render(gather(folder, name=EVIL.format("name")))


def test_every_text_of_the_feed_is_escaped(hostile: str) -> None:
    for place in ("id", "title", "category", "product", "repair", "reason", "file", "content", "source", "column"):
        assert re.search(rf"&lt;script&gt;alert\(\\?&#39;{place}", hostile), place
    for place in ("command", "name"):
        assert f"&lt;script&gt;alert(&#39;{place}" in hostile, place
    tags = Tags(hostile)
    assert "script" not in tags.seen
    assert tags.handlers == []


def test_the_page_needs_nothing_from_elsewhere(hostile: str) -> None:
    tags = Tags(hostile)

    assert tags.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.sources)
    assert not tags.seen & {"script", "link", "iframe", "object", "base", "form"}
    style = hostile[hostile.index("<style>") : hostile.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_of_a_good_feed_says_so(tmp_path: Path) -> None:
    text = render(gather(write_folder(tmp_path / "catalog", clean_rows(1200)), name="my catalogue"))

    Tags(text)
    assert "Nothing to warn of." in text
    assert "1,200" in text
    assert "item pretrain &#39;my catalogue&#39; --out run" in text
    assert "No row was set aside." in text
    assert text.count("<svg") == 4


def test_warnings_come_with_what_they_mean_and_their_mend(tmp_path: Path) -> None:
    rows = [replace(row, image=plain("silver"), pixels=7) if n < 40 else row for n, row in enumerate(clean_rows(1100))]
    facts = gather(write_folder(tmp_path / "catalog", rows))
    text = render(facts)

    concern = facts.concerns[0]
    assert concern.sentence in text
    assert concern.mend in text
    warning = text[text.index('class="concern"') : text.index("What was read")]
    assert "data:image/jpeg" in warning


def test_rows_without_anything_to_measure_have_a_page(tmp_path: Path) -> None:
    no_titles = render(gather(write_folder(tmp_path / "photos", [Row("a", None, noise(1))])))
    no_photos = render(gather(write_folder(tmp_path / "titles", [Row("a", "A red mug")])))
    nothing = render(gather(write_folder(tmp_path / "nothing", [], columns={})))

    for text, charts in ((no_titles, 2), (no_photos, 2), (nothing, 0)):
        Tags(text)
        assert text.count("<svg") == charts


def test_long_and_right_to_left_titles_are_cut_and_set_apart(tmp_path: Path) -> None:
    titles = ["كوب " * 120, "w" * 512, "x" * 512]
    rows = [Row(f"row {n}", title, noise(n), repairs=("title: HTML tags",)) for n, title in enumerate(titles)]
    text = render(gather(write_folder(tmp_path / "catalog", rows)))

    assert "w" * 161 not in text
    assert re.search(r'<div dir="auto">كوب', text)


def test_an_update_says_what_changed(tmp_path: Path) -> None:
    update = {"previous": "0a1b", "new": 1234, "changed": 2, "unchanged": 3, "retried": 4, "gone": 5}
    text = render(gather(write_folder(tmp_path / "catalog", [Row("a", "A red mug")], update=update)))

    assert "1,234 new, 2 changed, 3 unchanged, 4 retried, 5 gone" in text
    assert "0a1b" not in text


def test_languages_that_are_not_known_are_said_to_be_so(tmp_path: Path) -> None:
    facts = gather(write_folder(tmp_path / "catalog", [Row("a", "A red mug")]))
    text = render(replace(facts, titles=replace(facts.titles, languages=None)))

    assert "py3langid is not installed" in text


def test_the_report_is_written_whole_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    facts = gather(write_folder(tmp_path / "catalog", [Row("a", "A red mug")]))
    path = tmp_path / "catalog" / "report.html"
    path.write_text("old")
    write_report(facts, path)

    assert path.read_text(encoding="utf8") == render(facts)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "manifest.json",
        "rejected.parquet",
        "report.html",
        "rows",
    ]
