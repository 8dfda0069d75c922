import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.titles import clean_title
from item_embed.embedding.seen import seen_title

PIECES = ["&amp;", "amp;", "&", "lt;", "gt;", "<b>", "</b>", "<", "b>", "nan", "\u00c3\u00a9", "\u200b", " ", "mug"]
TITLES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)


@given(TITLES)
@settings(max_examples=300, deadline=None)
def test_a_feeds_title_is_seen_as_the_catalogues(title: str) -> None:
    assert seen_title(title) == seen_title(clean_title(title)[0])
    assert seen_title(seen_title(title)) == seen_title(title)


@pytest.mark.parametrize(
    ("title", "seen"),
    [
        ("Red mug", "Red mug"),
        (" T-shirt &amp;  shorts\n", "T-shirt & shorts"),
        ("salt &amp;amp;amp;amp;amp; pepper", "salt & pepper"),
        ("", None),
        (" \u200b ", None),
        ("!?", None),
        ("nan", None),
        (None, None),
    ],
)
def test_what_is_seen_of_a_title(title: str | None, seen: str | None) -> None:
    assert seen_title(title) == seen
