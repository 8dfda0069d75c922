"""What a user does before the service has told the page what it serves, end to end in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.serving.page.conftest import Shop

pytestmark = pytest.mark.slow


class Waiting:
    """A page that waits for the service to tell what it serves.

    Args:
        page: a page that is not opened yet.
        address: where its service is.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address
        self._held: list[Route] = []

    def open(self, query: str = "") -> None:
        """Open the page; what it asks first is not answered."""
        self.page.route("**/v1/about", self._hold)
        with self.page.expect_request("**/v1/about"):
            self.page.goto(self._address + query)

    def _hold(self, route: Route) -> None:
        self._held.append(route)

    def answer(self) -> None:
        """Let the service answer."""
        for route in self._held:
            route.continue_()
        self.page.locator("#filters").wait_for()


@pytest.fixture
def waiting(browser: Browser, served: Shop) -> Iterator[Waiting]:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        served.recorded.sent.clear()
        yield Waiting(page, served.address)


def test_a_title_that_is_being_typed_stays(waiting: Waiting, served: Shop) -> None:
    waiting.open()
    waiting.page.locator("#title").press_sequentially("red m")
    waiting.answer()
    waiting.page.locator("#title").press_sequentially("ug")
    expect(waiting.page.locator("#title")).to_have_value("red mug")
    assert not served.recorded.to("/v1/search")  # half a title is not searched with
    waiting.page.keyboard.press("Enter")
    expect(waiting.page.locator(".hit").first).to_be_visible()


def test_it_stays_where_the_address_has_another(waiting: Waiting, served: Shop) -> None:
    waiting.open("?title=blue+mug&filter.condition=new")
    waiting.page.fill("#title", "red mug")
    waiting.answer()
    expect(waiting.page.locator("#title")).to_have_value("red mug")
    expect(waiting.page.locator("#filters-count")).to_have_text("1 set")
    waiting.page.press("#title", "Enter")
    expect(waiting.page.locator(".hit").first).to_be_visible()
    assert [sent.form["title"] for sent in served.recorded.to("/v1/search")] == [b"red mug"]


def test_a_photo_that_was_chosen_is_searched_with(waiting: Waiting, served: Shop) -> None:
    waiting.open()
    waiting.page.set_input_files("#photo", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": served.photo})
    waiting.answer()
    expect(waiting.page.locator(".hit").first).to_be_visible()
    assert [sent.form["image"] for sent in served.recorded.to("/v1/search")] == [served.photo]
