import io

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.photos.images import decode, prepare_photo
from item_embed.serving.limits import RefusedError
from item_embed.serving.reading import Described, Reader
from tests.catalogs import photo

BOTH = frozenset({"image", "title"})


def test_a_photo_is_seen_as_a_catalogue_has_it() -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    seen = Reader(BOTH, (64, 64), 10**6)(Described(file.getvalue(), None))
    expected = decode(prepare_photo(file.getvalue()).data, (64, 64))
    assert seen.photo is not None
    assert seen.photo.tobytes() == expected.tobytes()
    assert seen.title is None


def test_a_title_is_cleaned() -> None:
    assert Reader(BOTH, (8, 8), 10**6)(Described(None, " salt &amp; pepper ")).title == "salt & pepper"
    assert Reader(BOTH, (8, 8), 10**6)(Described(photo((1, 2, 3)), "?!")).title is None


@pytest.mark.parametrize("described", [Described(None, None), Described(b"", ""), Described(None, "?!")])
def test_nothing_to_see(described: Described) -> None:
    with pytest.raises(RefusedError, match="give an image, a title of words, or both") as refused:
        Reader(BOTH, (8, 8), 10**6)(described)
    assert refused.value.status == 422


def test_what_cannot_be_seen() -> None:
    with pytest.raises(RefusedError, match="made from photos alone; give a photo and no title"):
        Reader(frozenset({"image"}), (8, 8), 10**6)(Described(photo((1, 2, 3)), "mug"))


def test_too_many_pixels() -> None:
    with pytest.raises(RefusedError, match=r"more than 0\.0007 megapixels") as refused:
        Reader(BOTH, (8, 8), 700)(Described(photo((1, 2, 3)), None))
    assert refused.value.status == 413
