import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from item_embed.catalog.photos.images import decode
from item_embed.errors import ModelError
from item_embed.model.configuration import ItemConfig
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


def test_background_is_left_out_where_the_model_encodes_none() -> None:
    tokenizer = train_tokenizer([], 64)
    config = ItemConfig(image_size=(32, 16), patch_size=8, background="drop")
    processor = ItemProcessor.for_config(tokenizer, config)
    half = Image.new("RGB", (16, 32), "white")
    half.paste(Image.linear_gradient("L").resize((16, 16)), (0, 0))
    inputs = processor(["red shoe"] * 3, [half, None, Image.new("RGB", (16, 32), RED)])
    assert inputs["left_out"].tolist() == [[False] * 4 + [True] * 4, *([[False] + [True] * 7] * 2)]
    config = ItemConfig(image_size=(32, 16), patch_size=8)
    assert "left_out" not in ItemProcessor.for_config(tokenizer, config)(["red shoe"], [half])


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


@pytest.mark.parametrize("patch_size", [None, 8])
def test_what_is_saved_is_what_is_read(patch_size: int | None, tokenizer: Tokenizer, tmp_path: Path) -> None:
    processor = ItemProcessor(tokenizer, (32, 16), 6, patch_size)
    processor.save_pretrained(tmp_path / "model")
    read = ItemProcessor.from_pretrained(str(tmp_path / "model"))
    assert (read.image_size, read.max_title_tokens) == ((32, 16), 6)
    titles = ["red shoe " * 9, None, "Blue dots!"]
    images = [Image.new("RGB", (9, 40), RED), None, None]
    before, after = processor(titles, images), read(titles, images)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_folder_of_before_background_could_be_dropped_keeps_it(processor: ItemProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_size": [32, 16], "max_title_tokens": 6}))
    assert ItemProcessor.from_pretrained(tmp_path).background_patch_size is None


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


def product_photo(width: int, height: int) -> Image.Image:
    """A shaded thing with edges, stripes and grain on white."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    inside = (((x - 0.5) / 0.35) ** 2 + ((y - 0.5) / 0.42) ** 2 < 1)[..., None]
    stripes = 30 * np.sign(np.sin(60 * x + 25 * y))[..., None]
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    colour = np.stack([180 * x, 120 + 80 * y, 200 - 150 * x], axis=-1)
    return Image.fromarray(np.where(inside, colour + stripes + grain, 250).clip(0, 255).astype(np.uint8))


def fitted_by_pillow(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The slow way to `ItemProcessor.pixels`."""
    height, width = size
    scale = min(height / image.height, width / image.width)
    w, h = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image.resize((w, h), Image.Resampling.BILINEAR), ((width - w) // 2, (height - h) // 2))
    return np.asarray(canvas).transpose(2, 0, 1)


@pytest.mark.parametrize("source", [(256, 341), (60, 80), (300, 97), (32, 32), (401, 403)])
@pytest.mark.parametrize("size", [(80, 64), (224, 224), (32, 16)])
def test_pixels_are_those_of_pillow_to_the_rounding(
    tokenizer: Tokenizer, source: tuple[int, int], size: tuple[int, int]
) -> None:
    image = product_photo(*source)
    difference = ItemProcessor(tokenizer, size, 6).pixels(image).astype(int) - fitted_by_pillow(image, size)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("source", [(256, 341), (560, 720), (1024, 1500), (333, 777)])
@pytest.mark.parametrize("size", [(80, 64), (224, 224)])
def test_scaled_decoding_changes_pixels_little(
    tokenizer: Tokenizer, source: tuple[int, int], size: tuple[int, int]
) -> None:
    file = io.BytesIO()
    product_photo(*source).save(file, "JPEG", quality=90)
    processor = ItemProcessor(tokenizer, size, 6)
    whole, scaled = (processor.pixels(decode(file.getvalue(), fit)).astype(int) for fit in (None, size))
    assert np.abs(scaled - whole).mean() < 3  # of 255


def test_pixels_are_written_where_asked(processor: ItemProcessor) -> None:
    image = product_photo(50, 70)
    out = np.zeros((3, 32, 16), np.uint8)
    assert processor.pixels(image, out) is out
    assert (out == processor.pixels(image)).all()
    assert (processor.pixels(None, out) == 255).all()
