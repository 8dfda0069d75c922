"""The page's files, as they are committed: small, of one piece, and bound to nothing outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "src/item_embed/serving/page"
TEXT = {path.name: path.read_text("utf8") for path in sorted(PAGE.iterdir())}
SCRIPTS = [name for name in TEXT if name.endswith(".js")]
STYLES = [name for name in TEXT if name.endswith(".css")]


class Elements(HTMLParser):
    """Collects the start tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(TEXT["index.html"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ELEMENTS = Elements().found
IDS = [attributes["id"] for _, attributes in ELEMENTS if "id" in attributes]


@pytest.mark.parametrize("name", list(TEXT))
def test_no_file_is_long(name: str) -> None:
    assert TEXT[name].count("\n") <= 400


def test_nothing_is_inline_as_the_policy_forbids_it() -> None:
    for tag, attributes in ELEMENTS:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert attributes["src"]


def test_the_hint_of_filters_names_no_column_that_a_shop_may_lack() -> None:
    hint = TEXT["index.html"].partition('id="where-hint"')[2].partition("</p>")[0]
    assert "item search --where" in hint
    assert not re.search(r"brand|price", hint)


@pytest.mark.parametrize("name", list(TEXT))
def test_nothing_comes_from_elsewhere(name: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", TEXT[name]))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a language, which nobody fetches
    assert "@import" not in TEXT[name]
    assert "url(" not in TEXT[name]


def test_what_the_page_refers_to_is_there() -> None:
    referred = [attributes.get("src") or attributes.get("href") for _, attributes in ELEMENTS]
    files = [address for address in referred if address and not address.startswith(("?", "#"))]
    assert {Path(address).name for address in files} <= set(TEXT)
    assert all(address.startswith("static/") for address in files)  # relative: it works behind a prefix
    for name in SCRIPTS:
        assert set(re.findall(r'from "\./([\w.]+)"', TEXT[name])) <= set(TEXT)


def test_ids_are_there_once_and_used() -> None:
    assert len(IDS) == len(set(IDS))
    used = {found for name in SCRIPTS for found in re.findall(r'(?<![.\w])get\("([\w-]+)"\)', TEXT[name])}
    assert used <= set(IDS)


def test_every_name_of_another_element_names_one() -> None:
    for _, attributes in ELEMENTS:
        for attribute in ("for", "aria-labelledby", "aria-describedby", "list"):
            assert set((attributes.get(attribute) or "").split()) <= set(IDS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_html_of_texts(name: str) -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", TEXT[name])


@pytest.mark.parametrize("name", STYLES)
def test_what_moves_moves_only_for_those_who_like_it(name: str) -> None:
    rest = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", TEXT[name], flags=re.DOTALL)
    assert not re.search(r"\b(transition|animation|scroll-behavior)\b", rest)


def test_scripts_import_in_no_circle() -> None:
    needs = {name: set(re.findall(r'from "\./([\w.]+)"', TEXT[name])) for name in SCRIPTS}
    while needs:
        free = {name for name, others in needs.items() if not others & set(needs)}
        assert free, f"a circle: {needs}"
        needs = {name: others for name, others in needs.items() if name not in free}
