import base64
import io

import numpy as np
from PIL import Image

from item_embed.search.thumbnails import data_uri, encoded, thumbnail
from tests.catalogs import photo


def test_a_small_photo_keeps_its_bytes() -> None:
    data = photo((9, 9, 200), size=(240, 120))
    assert thumbnail(data) == data


def test_a_large_photo_is_made_small_and_stays_in_shape() -> None:
    small = thumbnail(photo((200, 9, 9), size=(300, 900)))
    assert small is not None
    image = Image.open(io.BytesIO(small))
    assert (image.format, image.size) == ("JPEG", (80, 240))
    red, green, _ = np.asarray(image).mean(axis=(0, 1))
    assert red > 190
    assert green < 20


def test_other_formats_become_jpeg_and_damage_becomes_nothing() -> None:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, "BMP")
    made = thumbnail(file.getvalue())
    assert made is not None
    assert Image.open(io.BytesIO(made)).format == "JPEG"
    assert thumbnail(b"no photo") is None
    assert thumbnail(None) is None


def test_pixels_become_a_photo() -> None:
    pixels = np.zeros((3, 16, 8), np.uint8)
    pixels[2] = 200
    image = Image.open(io.BytesIO(encoded(pixels)))
    assert image.size == (8, 16)
    assert np.asarray(image)[8, 4, 2] > 180


def test_an_address_holds_the_photo() -> None:
    data = photo((1, 2, 3))
    kind, packed = data_uri(data).split(";base64,")
    assert kind == "data:image/jpeg"
    assert base64.b64decode(packed) == data
    assert data_uri(b"RIFFxxxxWEBP").startswith("data:image/webp;")
