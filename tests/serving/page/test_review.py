"""The page's review of duplicates, end to end in Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from item_embed.search.duplicates.settings import Variants
from tests.serving.page.browser import Recorded
from tests.serving.page.shops import listening, make_app

pytestmark = pytest.mark.slow


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(make_app(tmp_path))


@pytest.fixture
def review(browser: Browser, recorded: Recorded) -> Iterator[Page]:
    """The review of a shop of its own, as answers stay."""
    with listening(recorded) as address, browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.get_by_role("link", name="Duplicates").click()
        expect(page.locator(".side img")).to_have_count(2)
        yield page
        assert not complaints


def answers(recorded: Recorded) -> list[object]:
    return [sent.json["answer"] for sent in recorded.sent if sent.method == "PUT"]


def pair(page: Page) -> list[str]:
    return page.locator(".side h2").all_inner_texts()


def test_keys_answer_and_undo_and_each_answer_is_saved(review: Page, recorded: Recorded) -> None:
    expect(review).to_have_title("Duplicates - item-embed")
    expect(review.locator("#count")).to_contain_text("Pair 1 of")
    expect(review.locator("#variants")).to_be_hidden()
    expect(review.locator("#pair")).not_to_contain_text("They differ in")
    first = pair(review)
    for number, key in enumerate("ynu", start=1):
        review.keyboard.press(key)
        expect(review.locator("#count")).to_contain_text(f"Pair {number + 1} of")
    expect(review.locator("#count")).to_contain_text("3 answered")
    expect(review.locator("#bar")).to_have_js_property("value", 3)
    expect(review.locator("#said")).to_have_text(f"Not sure. Pair 4 of 60: {'; '.join(pair(review))}.")
    expect(review.locator("#saved")).to_have_text("All answers are saved.")
    for key in ("b", "ArrowLeft", "Backspace"):
        review.keyboard.press(key)
    expect(review.locator("#count")).to_contain_text("0 answered")
    assert pair(review) == first
    expect(review.locator("#back")).to_be_disabled()
    expect(review.locator("#saved")).to_have_text("All answers are saved.")
    assert answers(recorded) == ["yes", "no", "unsure", None, None, None]


def test_buttons_do_the_same_and_the_review_goes_on_where_it_was(review: Page, recorded: Recorded) -> None:
    review.get_by_role("button", name="Same").click()
    review.get_by_role("button", name="Different").click()
    expect(review.locator("#saved")).to_have_text("All answers are saved.")
    third = pair(review)
    assert answers(recorded) == ["yes", "no"]
    assert review.url.endswith("?view=duplicates&pair=3")
    review.goto(review.url.partition("&")[0])
    expect(review.locator("#count")).to_contain_text("Pair 3 of 60, 2 answered")
    assert pair(review) == third
    review.goto(review.url.partition("&")[0] + "&pair=1")
    expect(review.locator("#yes")).to_have_attribute("aria-pressed", "true")


def test_keys_can_be_switched_off(review: Page) -> None:
    review.get_by_label("answer by the keys").uncheck()
    review.keyboard.press("y")
    expect(review.locator("#count")).to_contain_text("Pair 1 of")


def test_what_the_model_says_shows_only_when_asked_for(review: Page) -> None:
    expect(review.locator(".judgement")).to_be_hidden()
    review.get_by_label("show what the model says").check()
    expect(review.locator(".judgement")).to_contain_text("80 % likely the same product")


def test_no_answer_is_lost_where_saving_fails(review: Page, recorded: Recorded) -> None:
    review.route("**/v1/duplicates/*", lambda route: route.fulfill(status=503, json={"detail": "The disk is full."}))
    review.keyboard.press("y")
    expect(review.locator("#alert-text")).to_contain_text("The disk is full.")
    review.keyboard.press("n")
    expect(review.locator("#saved")).to_have_text("2 answers not saved yet.")
    review.unroute("**/v1/duplicates/*")
    review.get_by_role("button", name="Try again").click()
    expect(review.locator("#saved")).to_have_text("All answers are saved.")
    assert sorted(map(str, answers(recorded))) == ["no", "yes"]


def test_an_answer_that_is_refused_for_good_does_not_keep_others_from_being_saved(
    review: Page, recorded: Recorded
) -> None:
    gone = "**/v1/duplicates/*"
    review.route(gone, lambda route: route.fulfill(status=404, json={"detail": "There is no such pair."}))
    review.keyboard.press("y")
    expect(review.locator("#alert-text")).to_contain_text(
        "An answer was refused and is not kept: There is no such pair."
    )
    review.unroute(gone)
    review.keyboard.press("n")
    expect(review.locator("#saved")).to_have_text("All answers are saved.")
    assert answers(recorded) == ["no"]


def test_the_last_pair_ends_the_review(review: Page) -> None:
    review.goto(review.url.partition("&")[0] + "&pair=60")
    expect(review.locator("#count")).to_contain_text("Pair 60 of 60")
    expect(review.locator(".side img")).to_have_count(2)
    review.keyboard.press("y")
    expect(review.locator("#review-empty")).to_contain_text("That was the last pair")
    expect(review.locator("#yes")).to_be_disabled()
    review.keyboard.press("b")
    expect(review.locator("#count")).to_contain_text("Pair 60 of 60")


def test_the_way_back_leads_to_the_search(review: Page) -> None:
    expect(review.get_by_role("link", name="Duplicates")).to_have_attribute("aria-current", "page")
    review.go_back()
    expect(review.locator("#query")).to_be_visible()
    expect(review.locator("#review")).to_be_hidden()
    expect(review.get_by_role("link", name="Search")).to_have_attribute("aria-current", "page")


def test_variants_are_told_of(browser: Browser, tmp_path: Path) -> None:
    rules = {
        True: "Listings that differ in colour alone are the same product.",
        False: "Listings that differ in colour are different products, and not asked about.",
    }
    for same, rule in rules.items():
        (folder := tmp_path / str(same)).mkdir()
        app = make_app(folder, variants=Variants("colour", same))
        with listening(app) as address, browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{address}?view=duplicates")
            expect(page.locator("#variants")).to_have_text(rule)
            expect(page.locator(".kind")).to_have_text("They differ in colour.")
            expect(page.locator("#said")).to_contain_text("They differ in colour.")
            assert not Axe().run(page).violations_count
            page.keyboard.press("y")
            expect(page.locator("#count")).to_contain_text("Pair 2 of")
            expect(page.locator(".kind")).to_have_count(0)


def test_a_service_without_duplicates_says_how_to_have_some(browser: Browser, tmp_path: Path) -> None:
    recorded = Recorded(make_app(tmp_path, reviewed=False))
    with listening(recorded) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}?view=duplicates")
        expect(page.get_by_role("heading", name="No duplicates to review")).to_be_visible()
        expect(page.locator("main")).to_contain_text("start this service with --duplicates DIR")
        expect(page.get_by_role("link", name="Duplicates")).to_be_hidden()
        for name in ("Same", "Different", "Not sure", "Undo"):
            expect(page.get_by_role("button", name=name)).to_be_hidden()
        page.keyboard.press("y")
        expect(page.locator("#alert")).to_be_hidden()
        assert not Axe().run(page).violations_count
        page.get_by_role("link", name="Search").click()
        expect(page.locator("#query")).to_be_visible()
        expect(page.locator("#no-review")).to_be_hidden()
    assert not [sent for sent in recorded.sent if "duplicates" in sent.path]
