import pickle

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.photos.images import PhotoError, decode
from item_embed.model.arrays import ArrayProcessor
from item_embed.model.photos import PhotoProcessor
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from tests.tiny import SIZE, on_white


@pytest.mark.parametrize("patch_size", [None, 8])
@pytest.mark.parametrize("kind", [ArrayProcessor, ItemProcessor])
def test_photos_are_made_ready_alike_without_the_tokenizer(kind: type[ArrayProcessor], patch_size: int | None) -> None:
    processor = kind(train_tokenizer(["red shoe"], 64), SIZE, 6, patch_size)
    packed = pickle.dumps(processor.photos)  # what goes to another process
    assert len(packed) < 300
    photos: PhotoProcessor = pickle.loads(packed)
    for number in range(4):
        image = decode(on_white(number))
        ready, pixels = photos.read(on_white(number)), processor.pixels(image)
        np.testing.assert_array_equal(ready.pixels, pixels)
        background = processor.background(pixels[None])
        assert (ready.background is None) == (background is None) == (patch_size is None)
        if ready.background is not None and background is not None:
            np.testing.assert_array_equal(ready.background, background[0])


def test_what_is_ready_stays_and_nothing_is_white() -> None:
    processor = PhotoProcessor(SIZE, 8)
    ready = processor.ready(Image.new("RGB", (8, 8), "red"))
    assert processor.ready(ready) is ready
    assert (processor.ready(None).pixels == 255).all()


def test_a_damaged_photo_is_told() -> None:
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        PhotoProcessor(SIZE).read(on_white(3)[:-40])
