"""Who uses the page without a mouse, without sight, in the dark or on a phone: end to end in Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.serving.page.conftest import Shop

pytestmark = pytest.mark.slow

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NARROWEST = {"width": 320, "height": 640}
VIEWS = ("start", "hits", "why", "review", "refused")


@contextmanager
def opened(
    browser: Browser, served: Shop, size: dict[str, int], scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    options: dict[str, Any] = {"viewport": size, "color_scheme": scheme, "reduced_motion": "reduce"}
    if size["width"] < 500:
        options |= {"is_mobile": True, "has_touch": True}
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(served.address)
        page.locator("#filters").wait_for()
        yield page


def walk(page: Page, served: Shop) -> Iterator[str]:
    """Go from view to view, naming each when it is shown."""
    yield "start"
    page.fill("#title", served.title)
    page.set_input_files("#photo", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": served.photo})
    expect(page.locator(".hit img").first).to_be_visible()
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    page.locator("#others summary").click()
    yield "hits"
    page.get_by_role("button", name="Why").first.click()
    page.locator("canvas.heat").first.wait_for()
    yield "why"
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Duplicates").click()
    expect(page.locator(".side img").first).to_be_visible()
    page.get_by_label("show what the model says").check()
    yield "review"
    page.get_by_role("link", name="Search").click()
    page.fill("#title", "")
    page.get_by_role("button", name="Remove the photo").click()
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#alert")).to_be_visible()
    yield "refused"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(
    browser: Browser, served: Shop, size: dict[str, int], scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, served, size, scheme) as page:
        found = {view: Axe().run(page) for view in walk(page, served)}
    assert tuple(found) == VIEWS
    assert not [(view, result.generate_report()) for view, result in found.items() if result.violations_count]


@pytest.mark.parametrize(
    "size", [PHONE, NARROWEST, {"width": 768, "height": 1024}], ids=["phone", "narrowest", "tablet"]
)
def test_nothing_is_wider_than_the_window(browser: Browser, served: Shop, size: dict[str, int]) -> None:
    with opened(browser, served, size) as page:
        for view in walk(page, served):
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"], view
            if view == "why":
                assert page.locator("#why").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


def test_the_dark_is_dark(browser: Browser, served: Shop) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with opened(browser, served, DESK, scheme) as page:
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))))
    light, dark = grounds
    assert light > 3 * 220
    assert dark < 3 * 40


_FOCUSED = """() => {
    const at = document.activeElement;
    const shown = at.id === "photo" ? document.querySelector("#drop .place") : at;
    return [at.id || at.textContent.trim(), getComputedStyle(shown).outlineStyle !== "none"];
}"""


def test_the_keyboard_reaches_everything_in_the_order_it_stands(browser: Browser, served: Shop) -> None:
    with opened(browser, served, DESK) as page:
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            name, outlined = page.evaluate(_FOCUSED)
            assert outlined, name
            reached.append(name)
        expected = ["Skip to the content", "to-search", "to-duplicates", "photo", "title", "Search", "Filters"]
        assert reached[:7] == expected
        page.keyboard.press("Shift+Tab")  # back to the line that opens the filters
        page.keyboard.press("Space")
        expect(page.locator("#where")).to_be_hidden()
        for _ in range(2):
            page.keyboard.press("Shift+Tab")
        page.keyboard.type(served.title)
        page.keyboard.press("Enter")
        expect(page.locator(".hit").first).to_be_visible()
        expect(page.locator("#title")).to_be_focused()  # a search takes nobody elsewhere
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Why":
                break
        page.keyboard.press("Enter")
        expect(page.locator("canvas.heat").first).to_be_visible()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.textContent") == "Why"


def test_the_skip_link_skips(browser: Browser, served: Shop) -> None:
    with opened(browser, served, DESK) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()


def test_landmarks_and_names_are_there(browser: Browser, served: Shop) -> None:
    with opened(browser, served, DESK) as page:
        for role, name in (("banner", None), ("navigation", "Views"), ("main", None), ("search", "Products")):
            expect(page.get_by_role(role, name=name)).to_have_count(1)  # type: ignore[arg-type]
        for label in ("Photo", "Title", "Photo weight", "As text", "price from", "price to"):
            expect(page.get_by_label(label).first).to_have_count(1)
        expect(page.locator("#said")).to_have_attribute("role", "status")
