import base64
import re
from html.parser import HTMLParser

import pytest

from item_embed.search.page import PAGE_STYLE, PageHit, PageQuery, page, render_queries
from tests.catalogs import photo

RED = photo((200, 20, 20))


class Elements(HTMLParser):
    """The elements of a page, and a check that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def whole(*queries: PageQuery) -> Elements:
    return Elements(page("Report", render_queries(queries)))


def test_photos_are_in_the_page_and_described() -> None:
    elements = whole(PageQuery("red mug", RED, [PageHit('mug "A" & B', RED, 0.9), PageHit("", RED, 0.8)]))
    images = elements.all("img")
    assert [image["alt"] for image in images] == ["red mug", 'mug "A" & B', "photo without a title"]
    for image in images:
        head, data = (image["src"] or "").split(",")
        assert head == "data:image/jpeg;base64"
        assert base64.b64decode(data) == RED


def test_text_is_escaped() -> None:
    nasty = "<script>alert('x')</script>\"><img src=x>"
    hits = [PageHit(nasty, RED, 0.5, nasty)]
    elements = Elements(page(nasty, render_queries([PageQuery(nasty, RED, hits, nasty)])))
    assert not elements.all("script")
    assert all((image["src"] or "").startswith("data:") for image in elements.all("img"))
    assert len(elements.all("img")) == 2


def test_ids_and_facts_are_shown_a_few_at_once_and_the_others_behind_a_line() -> None:
    facts = [(f"field {number}", f"<b>{number}</b>") for number in range(6)]
    for count, opened in ((0, 0), (4, 0), (5, 2), (6, 3)):
        text = render_queries([PageQuery("q", None, [PageHit("a", None, 0.5, id="id <1>", facts=facts[:count])])])
        assert '<p class="id">id id &lt;1&gt;</p>' in text
        assert text.count("<dt>") == text.count("&lt;b&gt;") == count
        assert (f"<summary>{opened} more</summary>" in text) is (opened > 0)
        assert text.partition("<details>")[2].count("<dt>") == opened
        Elements(text)
    bare = render_queries([PageQuery("q", None, [PageHit("a", None, 0.5)])])
    assert 'class="id"' not in bare
    assert "<dl" not in bare


def test_only_right_hits_are_marked_and_not_by_colour_alone() -> None:
    hits = [
        PageHit("yes", None, 0.9, right=True),
        PageHit("no", None, 0.8, right=False),
        PageHit("?", None, 0.7),
    ]
    text = render_queries([PageQuery("q", None, hits)])
    marked = [item["class"] for item in Elements(text).all("li")]
    assert marked == ["hit right", "hit", "hit"]
    assert text.count("✓") == 1


def test_ranks_scores_and_notes_are_shown() -> None:
    text = render_queries([PageQuery("q", None, [PageHit("a", None, 0.98765, "Kitchen > Mugs")], "asked twice")])
    for shown in ("0.988", "Kitchen &gt; Mugs", "asked twice", ">1<", "no photo"):
        assert shown in text


def test_nothing_found_is_said() -> None:
    assert "Nothing was found" in render_queries([PageQuery("q", None, [])])


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page("Report", render_queries([PageQuery("q", RED, [PageHit("a", RED, 1.0)])]))
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert PAGE_STYLE in text


def test_the_style_is_for_light_and_dark_phone_and_desk() -> None:
    assert "prefers-color-scheme: dark" in PAGE_STYLE
    assert "max-width: 36rem" in PAGE_STYLE
    assert PAGE_STYLE.count("{") == PAGE_STYLE.count("}")


@pytest.mark.parametrize(
    ("start", "kind"), [(b"\x89PNG\r\n", "png"), (b"RIFF\0\0\0\0WEBP", "webp"), (b"GIF89a", "gif")]
)
def test_photos_are_named_by_their_format(start: bytes, kind: str) -> None:
    assert f"data:image/{kind};base64," in render_queries([PageQuery("q", start, [])])


def test_bytes_that_are_no_photo_are_refused() -> None:
    with pytest.raises(ValueError, match="JPEG"):
        render_queries([PageQuery("q", b"<svg onload=alert(1)>", [])])
