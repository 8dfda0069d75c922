"""The page's search, end to end in Chromium."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.serving.page.browser import loaded
from tests.serving.page.conftest import Shop

pytestmark = pytest.mark.slow

# What the browser does when a user drops or pastes a file: there is no other way to have it do so.
_OFFER = """([event, target, name, type, text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type }));
    const options = { bubbles: true, cancelable: true };
    const made = event === "paste"
        ? new ClipboardEvent("paste", { ...options, clipboardData: data })
        : new DragEvent(event, { ...options, dataTransfer: data });
    document.querySelector(target).dispatchEvent(made);
}"""


def offer(page: Page, event: str, file: bytes, name: str = "a.jpg", kind: str = "image/jpeg", on: str = "body") -> None:
    page.evaluate(_OFFER, [event, on, name, kind, base64.b64encode(file).decode()])


def choose(page: Page, photo: bytes) -> None:
    page.set_input_files("#photo", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo})


def write(field: Locator, text: str) -> Callable[[], None]:
    """What writes into a field and leaves it."""

    def act() -> None:
        field.fill(text)
        field.press("Tab")

    return act


def searched(page: Page, served: Shop, act: Callable[[], None]) -> dict[str, bytes]:
    """The form of the search that something made the page send, once its hits are shown."""
    with page.expect_response("**/v1/search") as answer:
        act()
    assert answer.value.ok
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    return served.recorded.to("/v1/search")[-1].form


def test_a_title_finds_its_product_and_says_so(shop_page: Page, served: Shop) -> None:
    expect(shop_page.locator("#empty")).to_contain_text("Drop a photo")
    shop_page.fill("#title", served.title)
    form = searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    assert form == {"title": served.title.encode(), "k": b"12"}
    first = shop_page.locator(".hit").first
    expect(first.locator("h3")).to_have_text(served.title)
    assert loaded(first.locator("img"))
    assert "12 hits" in shop_page.inner_text("#summary")
    expect(shop_page.locator("#said")).to_contain_text(f"12 hits. First: {served.title}")
    expect(shop_page.locator("#category-said")).not_to_be_empty()
    assert served.recorded.to("/v1/category")[-1].form == {"title": served.title.encode()}


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_photo_dropped_or_pasted_is_searched_with(shop_page: Page, served: Shop, event: str) -> None:
    form = searched(shop_page, served, lambda: offer(shop_page, event, served.photo))
    assert form == {"image": served.photo, "k": b"12"}  # a small one as it is
    expect(shop_page.locator("#preview")).to_be_visible()
    expect(shop_page.locator(".hit h3").first).to_have_text(served.title)
    shop_page.click("#remove")
    expect(shop_page.locator(".hit")).to_have_count(0)
    expect(shop_page.locator("#photo")).to_be_focused()


def test_a_large_photo_is_made_small_before_it_is_sent(shop_page: Page, served: Shop) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (3000, 1500), (255, 0, 0, 0)).save(file, "PNG")
    form = searched(shop_page, served, lambda: offer(shop_page, "paste", file.getvalue(), "a.png", "image/png"))
    sent = Image.open(io.BytesIO(form["image"]))
    assert (sent.format, sent.size) == ("JPEG", (1024, 512))
    assert sent.convert("RGB").getpixel((500, 250)) == (255, 255, 255)  # white behind what is transparent


def test_what_is_no_photo_is_refused_in_a_sentence(shop_page: Page, served: Shop) -> None:
    offer(shop_page, "drop", b"text", "notes.txt", "text/plain")
    expect(shop_page.get_by_role("alert").first).to_contain_text("notes.txt is not a photo")
    assert not served.recorded.to("/v1/search")


def test_text_that_is_pasted_stays_text(shop_page: Page, served: Shop) -> None:
    shop_page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "mug");
            document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }"""
    )
    expect(shop_page.locator("#preview")).to_be_hidden()
    expect(shop_page.locator("#alert")).to_be_hidden()


def test_the_slider_sends_what_it_says(shop_page: Page, served: Shop) -> None:
    slider, said = shop_page.locator("#weight"), shop_page.locator("#weight-said")
    expect(slider).to_be_disabled()
    shop_page.fill("#title", served.title)
    form = searched(shop_page, served, lambda: choose(shop_page, served.other_photo))
    expect(slider).to_be_enabled()
    expect(said).to_have_text("as the model joins them")
    assert set(form) == {"title", "image", "k"}
    for key, sentence, sent in (
        ("Home", "the title alone", b"0"),
        ("End", "the photo alone", b"1"),
        ("ArrowLeft", "photo 95 %, title 5 %", b"0.95"),
    ):
        form = searched(shop_page, served, lambda key=key: slider.press(key))  # type: ignore[misc]
        expect(said).to_have_text(sentence)
        expect(slider).to_have_attribute("aria-valuetext", sentence)
        assert form["photo_weight"] == sent
        if sent == b"0":
            expect(shop_page.locator(".hit h3").first).to_have_text(served.title)
        if sent == b"1":
            expect(shop_page.locator(".hit h3").first).not_to_have_text(served.title)
    slider.evaluate("slider => { slider.value = 50; slider.dispatchEvent(new Event('input')) }")
    form = searched(shop_page, served, lambda: slider.evaluate("slider => slider.dispatchEvent(new Event('change'))"))
    expect(said).to_have_text("as the model joins them")
    assert "photo_weight" not in form
    shop_page.fill("#title", "")
    expect(slider).to_be_disabled()


def test_filters_become_text_and_an_address_to_share(shop_page: Page, served: Shop) -> None:
    shop_page.fill("#title", "mug")
    searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    seller = shop_page.get_by_label("seller")
    form = searched(shop_page, served, write(seller, 'Say "hi"'))
    assert form["where"] == b'`seller` = "Say ""hi"""'
    expect(shop_page.locator("#empty")).to_contain_text("No product passes these filters")
    searched(shop_page, served, lambda: shop_page.click("#clear"))
    dear = shop_page.get_by_label("price from")
    searched(shop_page, served, write(dear, "5"))
    where = shop_page.locator("#where")
    form = searched(shop_page, served, write(where, "price < 20 or price < 30"))
    assert form["where"] == b"`price` >= 5 and (price < 20 or price < 30)"
    expect(shop_page.locator("#filters-count")).to_have_text("2 set")
    titles = shop_page.locator(".hit h3").all_inner_texts()
    assert titles

    shop_page.goto(shop_page.url)  # as somebody who was sent the address
    expect(shop_page.locator(".hit").first).to_be_visible()
    assert served.recorded.to("/v1/search")[-1].form == form
    assert shop_page.locator(".hit h3").all_inner_texts() == titles
    assert shop_page.input_value("#title") == "mug"
    shop_page.go_back()
    expect(shop_page.locator("#where")).to_have_value("")


def test_what_the_service_itself_refuses_is_shown(shop_page: Page, served: Shop) -> None:
    shop_page.fill("#title", served.title)
    shop_page.fill("#where", "price <")
    shop_page.press("#where", "Enter")
    expect(shop_page.locator("#alert-text")).to_contain_text("the filter 'price <' is wrong at its end")
    shop_page.fill("#where", "")
    offer(
        shop_page, "paste", b"broken", "a.png", "image/png"
    )  # the browser cannot read it, and lets the service say so
    expect(shop_page.locator("#alert-text")).to_contain_text("send a JPEG, PNG, WebP")
    expect(shop_page.locator("#preview")).to_be_hidden()


@pytest.mark.parametrize(("modality", "hidden"), [("title", "#photo-field"), ("image", "#title-field")])
def test_a_side_that_is_not_seen_is_not_asked_for(shop_page: Page, served: Shop, modality: str, hidden: str) -> None:
    def one_sided(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "modalities": modality})

    shop_page.route("**/v1/about", one_sided)
    shop_page.goto(f"{served.address}?title=mug")
    expect(shop_page.locator("#filters")).to_be_visible()
    expect(shop_page.locator(hidden)).to_be_hidden()
    expect(shop_page.locator("#weigh")).to_be_hidden()
    expect(shop_page.locator(".hit")).to_have_count(12 if modality == "title" else 0)
    offer(shop_page, "paste", served.photo)
    expect(shop_page.locator("#preview")).to_be_visible(visible=modality == "image")


def test_more_hits_are_asked_for_and_focused(shop_page: Page, served: Shop) -> None:
    shop_page.fill("#title", "mug")
    searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    form = searched(shop_page, served, lambda: shop_page.click("#more"))
    assert form["k"] == b"24"
    expect(shop_page.locator(".hit")).to_have_count(24)
    expect(shop_page.locator(".hit h3").nth(12)).to_be_focused()


def test_a_hit_is_searched_with(shop_page: Page, served: Shop) -> None:
    shop_page.fill("#title", "mug")
    searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    hit = shop_page.locator(".hit").filter(has=shop_page.locator("img")).first
    title = hit.locator("h3").inner_text()
    key = hit.locator(".id").inner_text().removeprefix("id ")
    form = searched(shop_page, served, lambda: hit.get_by_role("button", name="Similar").click())
    assert form == {"id": key.encode(), "k": b"12"}
    expect(shop_page.locator("#title")).to_have_value(title)
    expect(shop_page.locator(".id", has_text=re.compile(f"^id {re.escape(key)}$"))).to_have_count(0)
    expect(shop_page.locator("#learned")).to_be_hidden()  # of listings, not of queries
    assert searched(shop_page, served, lambda: shop_page.click("#more"))["id"] == key.encode()
    shop_page.locator("#weight").fill("80")
    form = searched(shop_page, served, lambda: shop_page.locator("#weight").dispatch_event("change"))
    assert (form["title"], form["photo_weight"]) == (title.encode(), b"0.8")
    assert Image.open(io.BytesIO(form["image"])).format in {"JPEG", "WEBP"}
    shop_page.locator("#weight").fill("50")
    assert "id" in searched(shop_page, served, lambda: shop_page.locator("#weight").dispatch_event("change"))
    shop_page.fill("#title", f"{title} again")
    form = searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    assert (form["title"], "id" in form, "image" in form) == (f"{title} again".encode(), False, True)


_TOLD = {"simulated": True, "queries": 1200, "source": "mine.parquet", "calibration_error": 0, "first_hit_error": 0}


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        (_TOLD, "learned from 1,200 simulated relistings, which flatters them. They hold if the product is here"),
        (_TOLD | {"simulated": False}, "learned from mine.parquet. They hold if the product is here at all."),
        (None, "Scores are no probabilities. To have those, start this service with --query-probabilities FILE"),
    ],
)
def test_a_query_says_where_its_probabilities_come_from(
    shop_page: Page, served: Shop, learned: dict[str, object] | None, said: str
) -> None:
    def tell(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"query_probabilities": learned})

    shop_page.route("**/v1/about", tell)
    shop_page.reload()
    shop_page.locator("#filters").wait_for()
    shop_page.fill("#title", served.title)
    searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    expect(shop_page.locator("#learned")).to_be_hidden()  # a title alone has none
    expect(shop_page.locator(".likeness").first).to_contain_text("score")
    searched(shop_page, served, lambda: choose(shop_page, served.photo))
    expect(shop_page.locator("#learned")).to_contain_text(said)
    expect(shop_page.locator(".likeness").first).to_contain_text("same:")
    shop_page.click("#remove")
    expect(shop_page.locator("#learned")).to_be_hidden()


@pytest.mark.parametrize("learned", [_TOLD, None])
@pytest.mark.parametrize("side", ["title", "image"])
@pytest.mark.parametrize("export", [False, True], ids=["index of one side", "export of one side"])
def test_where_probabilities_come_from_is_said_of_whole_queries_alone(
    shop_page: Page, served: Shop, side: str, export: bool, learned: dict[str, object] | None
) -> None:
    """On an index of one side that side is a whole query; of an index of both an export of one side reads none."""

    def tell(route: Route) -> None:
        sides = {"modalities": side, "made_of": "both" if export else side}
        route.fulfill(json={**route.fetch().json(), **sides, "query_probabilities": learned})

    def find(route: Route) -> None:
        found = route.fetch().json()
        known = None if export or learned is None else 0.5
        route.fulfill(json={**found, "hits": [hit | {"probability": known} for hit in found["hits"]]})

    shop_page.route("**/v1/about", tell)
    shop_page.route("**/v1/search", find)
    shop_page.reload()
    shop_page.locator("#filters").wait_for()
    if side == "title":
        shop_page.fill("#title", served.title)
    searched(
        shop_page,
        served,
        lambda: shop_page.press("#title", "Enter") if side == "title" else choose(shop_page, served.photo),
    )
    expect(shop_page.locator("#learned")).to_be_visible(visible=not export)
    if not export:
        said = "Scores are no probabilities." if learned is None else "1,200 simulated relistings"
        expect(shop_page.locator("#learned")).to_contain_text(said)


def test_why_shows_words_and_heat_maps(shop_page: Page, served: Shop) -> None:
    shop_page.fill("#title", served.title)
    searched(shop_page, served, lambda: choose(shop_page, served.photo))
    why = shop_page.get_by_role("button", name="Why").first
    why.click()
    dialog = shop_page.get_by_role("dialog")
    expect(dialog.locator("canvas.heat")).to_have_count(2)
    asked = served.recorded.to("/v1/explain")[-1].json
    assert base64.b64decode(asked["a"]["image"]) == served.photo
    assert asked["a"]["title"] == served.title
    assert set(asked["b"]) == {"id"}
    expect(shop_page.locator("#why-method")).to_contain_text("do not add up to the score")
    assert "Heat map" in (dialog.locator("canvas.heat").first.get_attribute("aria-label") or "")
    assert dialog.locator(".word").count()
    painted = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert dialog.locator("canvas.heat").last.evaluate(painted)
    photo, heat = (dialog.locator(f".side:first-child {each}").bounding_box() for each in (".photo", "canvas"))
    assert photo == heat
    expect(shop_page.locator("#why-score")).not_to_contain_text("slider")
    dialog.get_by_label("show the heat map").uncheck()
    expect(dialog.locator("canvas.heat").first).to_be_hidden()
    shop_page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(why).to_be_focused()
    searched(shop_page, served, lambda: shop_page.press("#weight", "End"))
    why.click()
    expect(shop_page.locator("#why-score")).to_contain_text("as the model joins photo and title")


def test_why_no_category_can_be_answered_is_said(shop_page: Page) -> None:
    sentence = "It takes 73 rows."
    told: dict[str, Any] = {"category": None, "answered": "none", "probability": None, "candidates": []}
    shop_page.route("**/v1/category", lambda route: route.fulfill(json=told | {"reason": sentence}))
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator("#category-said")).to_have_text(sentence)


def test_titles_are_text_whatever_they_hold(shop_page: Page) -> None:
    title = '<img src=x onerror="document.title=1"><b>fett</b> \u05e2\u05d1\u05e8\u05d9\u05ea \U0001f600'
    hit = {
        "id": "a/b?c",
        "title": title,
        "score": 0.5,
        "probability": None,
        "category": None,
        "metadata": {},
        "photo": None,
    }
    shop_page.route("**/v1/search", lambda route: route.fulfill(json={"hits": [hit], "milliseconds": 1}))
    shop_page.fill("#title", "mug")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator(".hit h3")).to_have_text(title)
    expect(shop_page.locator(".hit")).to_contain_text("score 0.500")
    expect(shop_page.locator(".hit .no-photo")).to_be_visible()
    assert shop_page.title() == "item-embed"


def test_only_the_last_of_several_searches_is_shown(shop_page: Page, served: Shop) -> None:
    shop_page.route("**/v1/search", lambda route: None)  # never answered
    shop_page.fill("#title", "never")
    shop_page.press("#title", "Enter")
    expect(shop_page.locator("#results")).to_have_attribute("aria-busy", "true")
    shop_page.unroute("**/v1/search")
    shop_page.fill("#title", served.title)
    searched(shop_page, served, lambda: shop_page.press("#title", "Enter"))
    expect(shop_page.locator(".hit h3").first).to_have_text(served.title)


def test_the_hint_of_filters_names_columns_of_this_shop(shop_page: Page) -> None:
    hint = shop_page.locator("#where-hint code")
    expect(hint).to_have_text(re.compile(r"^(price|stock) < [\d.]+ and not \w+ in \(\"[^\"]+\""))
