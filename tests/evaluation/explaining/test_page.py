import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from item_embed.evaluation.explaining.page import render_explanation, write_page
from item_embed.explain import Explanation
from item_embed.explain.explanation import Side, Word

PHOTO = Image.new("RGB", (900, 600), (200, 20, 20))
PATCHES = np.array([[0.25, 0], [-0.125, 0.0001]], np.float32)
A = Side(PHOTO, "<b>Red</b> mug", (Word("<b>Red</b>", 0, 10, 0.5), Word("mug", 11, 14, -0.1)), PATCHES, 0.1, 0.0002)
B = Side(None, None, (), None, -0.2, -0.00001)
FOUND = Explanation(0.625, "gradients", A, B)


class _Tags(HTMLParser):
    """Fails where tags do not close; keeps them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_words_have_their_weights_and_are_escaped() -> None:
    text = render_explanation(FOUND, ("a<1>", ""))
    assert "<b>" not in text
    assert "&lt;b&gt;Red&lt;/b&gt;</span> <small>+0.500</small>" in text
    assert "mug</span> <small>−0.100</small>" in text  # noqa: RUF001
    assert "a&lt;1&gt;" in text
    words = [item for item in _Tags(text).of("li") if "word" in (item.get("class") or "")]
    assert [word["class"] for word in words] == ["word for", "word against"]
    assert [word["style"] for word in words] == ["--part: 1.000", "--part: 0.200"]


def test_a_heat_map_has_a_cell_for_each_patch_that_weighs_and_says_where() -> None:
    tags = _Tags(render_explanation(FOUND))
    (svg,) = tags.of("svg")
    assert svg["viewbox"] == "0 0 2 2"
    assert svg["aria-label"] == (
        "heat map; strongest patches: row 1, column 1: +0.250; row 2, column 1: −0.125; "  # noqa: RUF001
        "row 2, column 2: 0.000"
    )
    cells = [(rect["x"], rect["y"], rect["class"], rect["fill-opacity"]) for rect in tags.of("rect")]
    assert cells == [("0", "0", "for", "0.850"), ("0", "1", "against", "0.425"), ("1", "1", "for", "0.000")]
    assert len(tags.of("img")) == 2
    assert all(image["src"] and image["src"].startswith("data:image/jpeg") for image in tags.of("img"))


def test_what_adds_up_is_shown_adding_up() -> None:
    text = render_explanation(FOUND)
    assert "By integrated gradients" in text
    numbers = re.findall(r'<th scope="row">([a-z, ]+)</th><td>([^<]+)</td>', text)
    assert numbers[:5] == [
        ("blank listing", "+0.100"),
        ("all words", "+0.400"),
        ("all patches", "+0.125"),
        ("rest", "0.000"),
        ("score", "0.625"),
    ]
    assert "no photo" in text
    assert "No title." in text


def test_occlusion_has_no_baseline() -> None:
    left = Side(A.photo, A.title, A.words, A.patches), Side(None, "lamp", (Word("lamp", 0, 4, 0.0),), None)
    text = render_explanation(Explanation(0.5, "occlusion", *left))
    assert "blank listing" not in text
    assert "By occlusion" in text
    assert "do not add up to the score" in text
    assert _Tags(text).of("svg")


def test_listings_of_which_nothing_weighs_can_be_shown() -> None:
    nothing = Side(PHOTO, None, (), np.zeros((2, 2), np.float32), 0.0, 0.0)
    assert "strongest patches: none" in render_explanation(Explanation(0.0, "gradients", nothing, B))


@pytest.mark.parametrize("name", ["page.html", "deep/page.html"])
def test_the_page_is_one_file_without_scripts(tmp_path: Path, name: str) -> None:
    write_page(tmp_path / name, FOUND, ("a", "b"))
    text = (tmp_path / name).read_text(encoding="utf8")
    assert text.startswith("<!doctype html")
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)
