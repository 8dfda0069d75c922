from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.titles import LONGEST_TITLE, clean_key, clean_title, normalise_title, plain_text


@pytest.mark.parametrize(
    ("given", "clean", "repairs"),
    [
        ("Red shirt", "Red shirt", []),
        ("  Red   shirt ", "Red shirt", []),
        ("Salt &amp; pepper", "Salt & pepper", ["title: HTML entities"]),
        ("Salt &amp;amp; pepper &#39;mill&#x27;", "Salt & pepper 'mill'", ["title: HTML entities"]),
        ("ADIDAS&NBSP;CAF&EACUTE; &AMP; BAR", "ADIDAS CAFÉ & BAR", ["title: HTML entities"]),
        ("Adidas&Nbsp;caf&eacute;", "Adidas café", ["title: HTML entities"]),
        ("AT&T &lt phone", "AT&T &lt phone", []),
        ("Vox&amplifier; R&B;", "Vox&amplifier; R&B;", []),
        ("5 &MICRO;F &SZLIG; &YUML;", "5 \u00b5F ß Ÿ", ["title: HTML entities"]),
        ("KIDS&RSQUO; 5 &EURO; &NDASH;", "KIDS\u2019 5 € \u2013", ["title: HTML entities"]),
        ("AM&PM;X BLACK&IN; LINE&PHONE; TOM &AND; ME&nBSP;", "AM&PM;X BLACK&IN; LINE&PHONE; TOM &AND; ME&nBSP;", []),
        ("<b>Red</b> shirt<br/>new", "Red shirt new", ["title: HTML tags"]),
        ("size <38 and >40", "size <38 and >40", []),
        ("cafÃ© â€¢ crÃ¨me", "café • crème", ["title: UTF-8 read as another encoding"]),
        ("CAMISÃ NOVA", "CAMISÃ NOVA", []),
        ("café", "café", []),
        ("Red\x00 shirt\x07", "Red shirt", ["title: control characters or line breaks"]),
        ("Red\nshirt\ttall", "Red shirt tall", ["title: control characters or line breaks"]),
        ("zero\u200bwidth \u202eturned", "zerowidth turned", ["title: control characters or line breaks"]),
        ("half \ud800 a character", "half a character", ["title: control characters or line breaks"]),
        ("family 👨\u200d👩\u200d👧 mug", "family 👨\u200d👩\u200d👧 mug", []),
        ("", None, []),
        ("   ", None, []),
        (None, None, []),
        (float("nan"), None, []),
        ("N/A", None, ["title: placeholder for no value"]),
        ("---", None, ["title: no letter or digit"]),
        (501, "501", []),
        (501.0, "501", []),
        (b"caf\xc3\xa9", "café", []),
        (["Red", "shirt"], None, ["title: not a text"]),
        ({"en": "Red shirt"}, None, ["title: not a text"]),
    ],
)
def test_what_becomes_of_a_title(given: Any, clean: str | None, repairs: list[str]) -> None:
    assert clean_title(given) == (clean, repairs)


def test_a_very_long_title_is_cut_after_a_word() -> None:
    title, repairs = clean_title("wooden " * 200)
    assert title is not None
    assert len(title) <= LONGEST_TITLE
    assert title.endswith("wooden")
    assert repairs == ["title: longer than 512 characters, cut"]
    assert clean_title("x" * 600) == ("x" * LONGEST_TITLE, repairs)
    assert clean_title("x" * LONGEST_TITLE) == ("x" * LONGEST_TITLE, [])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_a_clean_title_is_storable_and_never_silently_changed(text: str) -> None:
    title, repairs = clean_title(text)
    if title is not None:
        assert title.encode("utf-8").decode("utf-8") == title
        assert title == " ".join(title.split())
    if title != (" ".join(text.split()) or None):
        assert repairs


def test_normalised_titles_drop_case_punctuation_and_width() -> None:
    assert normalise_title("Nike  AIR-Max, 90!") == "nike air max 90"
    assert normalise_title("\uff2e\uff29\uff2b\uff25 air max 90") == normalise_title("Nike Air Max 90")
    assert normalise_title("Straße") == normalise_title("STRASSE")
    assert normalise_title("—") == ""


def test_ids_keep_everything_visible() -> None:
    assert clean_key(" A&amp;B  1\x00 ") == "A&amp;B  1"
    assert clean_key(12.0) == "12"
    assert clean_key("None") is None
    assert clean_key("") is None


def test_scalars_as_text() -> None:
    assert plain_text(1.5) == "1.5"
    assert plain_text(True) == "True"
    assert plain_text(None) is None
