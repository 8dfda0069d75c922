"""What the page says where the service refuses, end to end in Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.serving.page.browser import Recorded, loaded
from tests.serving.page.shops import listening, make_app

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("status", "sentence", "again"),
    [
        (400, "the filter 'a' is wrong at its end: a sign is missing.", False),
        (413, "The photo has 60 MB; at most 8 MB are taken.", False),
        (415, "A photo is a JPEG, PNG or WebP file.", False),
        (422, "The photo cannot be read.", False),
        (503, "Too many requests wait.", True),
        (504, "The model took too long.", True),
    ],
)
def test_a_sentence_of_the_service_is_shown(shop_page: Page, status: int, sentence: str, again: bool) -> None:
    headers = {"Retry-After": "3"} if status == 503 else {}
    answer = {"status": status, "json": {"detail": sentence}, "headers": headers}
    shop_page.route("**/v1/search", lambda route: route.fulfill(**answer))
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    alert = shop_page.locator("#alert")
    expect(alert).to_contain_text(sentence + (" Try again in 3 s." if status == 503 else ""))
    expect(alert).to_have_attribute("role", "alert")
    retry = alert.get_by_role("button", name="Try again")
    if not again:
        expect(retry).to_be_hidden()
    shop_page.unroute("**/v1/search")
    if again:
        retry.click()
    else:
        shop_page.press("#title", "Enter")
    expect(shop_page.locator(".hit").first).to_be_visible()
    expect(alert).to_be_hidden()


def test_what_a_proxy_says_becomes_a_sentence(shop_page: Page) -> None:
    shop_page.route("**/v1/search", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator("#alert-text")).to_have_text("The service answered 502 Bad Gateway.")


def test_a_service_that_is_gone_is_said_to_be(shop_page: Page) -> None:
    shop_page.route("**/v1/search", lambda route: route.abort())
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator("#alert-text")).to_contain_text("does not answer")


def test_nothing_to_search_with_is_said(shop_page: Page) -> None:
    shop_page.get_by_role("button", name="Search", exact=True).click()
    expect(shop_page.locator("#alert-text")).to_contain_text("Type a title, or give a photo")
    expect(shop_page.locator("#title")).to_be_focused()


def test_a_category_that_fails_does_not_hide_the_hits(shop_page: Page) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=503, json={"detail": "Busy."})

    shop_page.route("**/v1/category", fail)
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator("#category-said")).to_have_text("Busy.")
    expect(shop_page.locator(".hit").first).to_be_visible()


def test_reasons_that_fail_are_told_in_their_dialog(shop_page: Page) -> None:
    shop_page.route("**/v1/explain", lambda route: route.fulfill(status=501, json={"detail": "No reasons here."}))
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    shop_page.get_by_role("button", name="Why").first.click()
    expect(shop_page.locator("#why-score")).to_have_text("No reasons here.")


def test_the_key_is_asked_for_once(browser: Browser, tmp_path: Path) -> None:
    recorded = Recorded(make_app(tmp_path, key="open sesame"))
    with listening(recorded) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        dialog = page.get_by_role("dialog", name="This service asks for a key")
        expect(dialog).to_be_visible()
        expect(page.locator("#key-value")).to_be_focused()
        page.fill("#key-value", "open barley")
        page.keyboard.press("Enter")
        expect(page.locator("#key-said")).to_contain_text("key")
        page.fill("#key-value", "open sesame")
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.get_by_label("colour")).to_be_visible()  # the page is there, with what the service has told
        page.fill("#title", "mug")
        page.press("#title", "Enter")
        assert loaded(page.locator(".hit img").first)
        page.reload()
        expect(page.locator(".hit").first).to_be_visible()
        expect(dialog).to_be_hidden()
        assert "sesame" not in page.url


def test_a_key_that_no_header_holds_is_not_sent(browser: Browser, tmp_path: Path) -> None:
    recorded = Recorded(make_app(tmp_path, key="open sesame"))
    with listening(recorded) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_role("dialog").wait_for()
        for key in ("schlüssel", "ключ", "open\u2011sesame"):
            page.fill("#key-value", key)
            page.keyboard.press("Enter")
            expect(page.locator("#key-said")).to_have_text("A key has only letters A to Z, digits and signs.")
        assert not [sent for sent in recorded.sent if "x-api-key" in sent.headers]
        page.fill("#key-value", " open sesame ")  # as copied, with what was around it
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_label("colour")).to_be_visible()


def test_without_a_key_the_page_says_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    with listening(make_app(tmp_path, key="open sesame")) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#alert-text")).to_contain_text("key")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("dialog")).to_be_visible()
