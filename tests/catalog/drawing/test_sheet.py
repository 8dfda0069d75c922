import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from item_embed.catalog.drawing.sheet import contact_sheet, wrapped


def _photo(colour: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_a_sheet_shows_every_photo_and_is_as_wide_as_its_longest_row() -> None:
    rows = [
        ("P1", [(_photo((200, 0, 0)), "red mug"), (_photo((0, 200, 0)), "green mug")]),
        ("P2", [(_photo((0, 0, 200), (40, 20)), "blue mug")]),
    ]
    sheet = np.asarray(contact_sheet(rows, 64), int)
    counts = [int((np.abs(sheet - colour).sum(2) < 9).sum()) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    assert counts == [64 * 64, 64 * 64, 64 * 32]
    assert sheet.shape[1] > 2 * 64
    assert contact_sheet(rows[1:], 64).width < sheet.shape[1]


def test_labels_and_titles_are_written_and_a_missing_photo_is_said() -> None:
    bare = np.asarray(contact_sheet([("", [(None, "")])], 120), int)
    told = np.asarray(contact_sheet([("P0000001", [(None, "a red mug")])], 120), int)
    rows = np.flatnonzero((told != bare).any((1, 2)))
    assert rows[0] < 20
    assert rows[-1] > 130
    assert (bare.min(2) < 140).any()  # "no photo"


def test_a_sheet_of_nothing_is_an_empty_sheet() -> None:
    assert len(np.unique(np.asarray(contact_sheet([])))) <= 2


@given(st.text(max_size=200), st.integers(40, 240))
@settings(max_examples=40, deadline=None)
def test_titles_are_wrapped_within_their_width_and_cut_after_three_lines(title: str, width: int) -> None:
    font = ImageFont.load_default(11)
    lines = wrapped(title, width, 11)
    assert len(lines) <= 3
    assert all(font.getlength(line) <= width for line in lines)
    if not any(line.endswith("…") for line in lines):
        assert " ".join(lines).split() == title.split()
