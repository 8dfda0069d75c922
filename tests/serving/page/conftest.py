"""A served shop of drawn products, and Chromium to look at it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.catalogs import Row
from tests.serving.made import SeeingEmbedder
from tests.serving.page.browser import Recorded, chromium
from tests.serving.page.shops import listening, make_app, rows

_PATIENCE = 30_000  # milliseconds: machines are shared and busy


@dataclass(frozen=True)
class Shop:
    """A service that listens: its address, what it was sent, and two of its products."""

    address: str
    recorded: Recorded
    title: str
    photo: bytes  # of the same product
    other_photo: bytes


def _found_by_either_side() -> list[Row]:
    """The rows that are the first hit for their title alone and for their photo alone: chance is the dummy's model."""
    embed = SeeingEmbedder().embed
    some = [row for row in rows() if row.image]
    photos, titles = [row.image for row in some], [row.title for row in some]
    whole = embed([row.image for row in rows()], [row.title for row in rows()])
    by_photo, by_title = ((sides @ whole.T).argmax(axis=1) for sides in (embed(photos), embed(titles=titles)))
    places = [rows().index(row) for row in some]
    return [row for row, *found in zip(some, places, by_photo, by_title, strict=True) if len(set(found)) == 1]


@pytest.fixture(scope="package")  # its event loop would be in the way of tests elsewhere
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright, chromium(playwright) as browser:
        yield browser


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    recorded = Recorded(make_app(tmp_path_factory.mktemp("shop")))
    one, other = _found_by_either_side()[:2]
    assert one.title
    assert one.image
    assert other.image
    with listening(recorded) as address:
        yield Shop(address, recorded, one.title, one.image, other.image)


@pytest.fixture
def shop_page(browser: Browser, served: Shop) -> Iterator[Page]:
    """The page, opened, in a window of a desk's width; what its console complains of fails the test."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        served.recorded.sent.clear()
        page.goto(served.address)
        page.locator("#filters").wait_for()
        yield page
        assert not complaints
