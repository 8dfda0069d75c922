import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer

from item_embed.errors import ModelError
from item_embed.model.processor import ItemProcessor, predictable, scale_pixels
from item_embed.model.tokenizer import CLS, PAD, SEP, train_tokenizer

RED = (200, 30, 30)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["red shoe", "blue sock with dots"] * 3, 100)


@pytest.fixture(scope="module")
def processor(tokenizer: Tokenizer) -> ItemProcessor:
    return ItemProcessor(tokenizer, (32, 16), 6)


@given(st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_the_whole_photo_is_shown_in_its_proportions_with_white_around(width: int, height: int) -> None:
    processor = ItemProcessor(train_tokenizer([], 64), (32, 16), 6)
    pixels = processor.pixels(Image.new("RGB", (width, height), RED))
    assert pixels.shape == (3, 32, 16)
    assert pixels.dtype == np.uint8
    inside = (pixels == np.array(RED, np.uint8)[:, None, None]).all(axis=0)
    assert (pixels[:, ~inside] == 255).all()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert inside.sum() == len(rows) * len(columns)  # one rectangle
    scale = min(32 / height, 16 / width)
    assert (len(rows), len(columns)) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert len(rows) == 32 or len(columns) == 16
    assert abs(rows[0] - (31 - rows[-1])) <= 1  # in the middle
    assert abs(columns[0] - (15 - columns[-1])) <= 1


def test_a_photo_that_fits_is_not_resampled(processor: ItemProcessor) -> None:
    pixels = np.arange(32 * 16 * 3, dtype=np.int64).reshape(32, 16, 3) % 256
    image = Image.fromarray(pixels.astype(np.uint8))
    assert (processor.pixels(image) == pixels.transpose(2, 0, 1)).all()


def test_an_opened_photo_is_turned_and_stands_on_white(processor: ItemProcessor) -> None:
    clear = Image.new("RGBA", (16, 32), (0, 0, 0, 0))
    assert (processor.pixels(clear) == 255).all()
    turned = Image.new("RGB", (32, 16), RED)
    turned.getexif()[0x0112] = 6  # shown upright, it stands
    assert (processor.pixels(turned) == np.array(RED)[:, None, None]).all()
    assert (processor.pixels(Image.new("L", (16, 32), 7)) == 7).all()


def test_no_photo_is_white_and_marked(processor: ItemProcessor) -> None:
    inputs = processor(["red shoe", "red shoe"], [None, Image.new("RGB", (16, 32))])
    assert inputs["photo_missing"].tolist() == [True, False]
    assert (inputs["pixel_values"][0] == 1).all()
    assert (inputs["pixel_values"][1] == -1).all()


def test_titles_are_padded_to_the_longest_of_them(processor: ItemProcessor) -> None:
    tokens = processor.tokenize(["red shoe", None, "", "red"])
    assert tokens.ids.shape == (4, 4)
    assert tokens.ids[1].tolist() == tokens.ids[2].tolist() == [CLS, SEP, PAD, PAD]
    assert tokens.padding.tolist() == (tokens.ids == PAD).tolist()
    assert (~tokens.padding).sum(axis=1).tolist() == [4, 2, 2, 3]
    assert predictable(tokens).tolist() == [
        [False, True, True, False],
        [False] * 4,
        [False] * 4,
        [False, True, False, False],
    ]


def test_a_long_title_is_cut_and_keeps_its_end_mark(processor: ItemProcessor) -> None:
    ids = processor.tokenize(["red shoe " * 20]).ids[0]
    assert len(ids) == 6
    assert (ids[0], ids[-1]) == (CLS, SEP)
    assert (ids[1:-1] > SEP).all()


def test_bytes_become_minus_one_to_one() -> None:
    scaled = scale_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert scaled.tolist() == pytest.approx([-1, -0.6, 1])


def test_one_title_and_one_image_per_product(processor: ItemProcessor) -> None:
    with pytest.raises(ValueError, match="2 titles and 1 images"):
        processor(["a", "b"], [None])


def test_what_is_saved_is_what_is_read(processor: ItemProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path / "model")
    read = ItemProcessor.from_pretrained(str(tmp_path / "model"))
    assert (read.image_size, read.max_title_tokens) == ((32, 16), 6)
    titles = ["red shoe " * 9, None, "Blue dots!"]
    images = [Image.new("RGB", (9, 40), RED), None, None]
    before, after = processor(titles, images), read(titles, images)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        "{}",
        json.dumps({"image_size": [3], "max_title_tokens": 4}),
        json.dumps({"image_size": [32, 16], "max_title_tokens": "many"}),
    ],
)
def test_damaged_settings_are_one_sentence(content: str | None, processor: ItemProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(ModelError, match=r"processor_config\.json cannot be read .*; copy the whole model folder\.$"):
        ItemProcessor.from_pretrained(tmp_path)


def test_a_folder_without_a_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        ItemProcessor.from_pretrained(tmp_path)
