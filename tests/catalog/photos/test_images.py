import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from item_embed.catalog.photos.images import LargePhotoError, PhotoError, decode, prepare_photo
from tests.catalog.made import encoded, picture, pixels


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def _close(one: Image.Image, other: Image.Image, tolerance: float = 6) -> bool:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()) < tolerance


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404 not found</html>", "not a readable image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable image"),
        (b"\xff\xd8\xff\xe0", "not a readable image"),
        (encoded(picture(200, 200), "JPEG")[:2000], "truncated file"),
        (encoded(picture(200, 200), "PNG")[:2000], "truncated file"),
        (encoded(picture(200, 200), "WEBP")[:500], "not a readable image"),
        (encoded(picture(1, 1)), "smaller than 8 pixels"),
        (encoded(picture(7, 300)), "smaller than 8 pixels"),
        (_png_header(9_000, 9_000), "more than 64 megapixels"),
        (_png_header(50_000, 50_000), "more than 64 megapixels"),
        (_png_header(100, 100), "truncated file"),
        (encoded(picture(8, 9_000)), "too long for its width"),
        (encoded(picture(40, 40), "ICO"), "not a readable image"),  # a format that no shop needs is not opened
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_photo_names_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=f"^{reason}$"):
        prepare_photo(data)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_small_photo_keeps_its_bytes(kind: str) -> None:
    data = encoded(picture(120, 160), kind)
    photo = prepare_photo(data)
    assert photo.data == data
    assert photo.repairs == ()


def test_a_small_grey_jpeg_keeps_its_bytes() -> None:
    data = encoded(picture().convert("L"), "JPEG")
    assert prepare_photo(data).data == data


def test_a_small_photo_with_more_metadata_than_picture_is_encoded_again() -> None:
    photo = prepare_photo(encoded(picture(), "JPEG", comment=b"x" * 60_000, exif=b"Exif\0\0" + b"y" * 60_000))
    assert len(photo.data) < 5_000


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_other_formats_become_jpeg_without_being_a_repair(kind: str) -> None:
    photo = prepare_photo(encoded(picture(), kind))
    assert _opened(photo.data).format == "JPEG"
    assert photo.repairs == ()
    assert _close(decode(photo.data), picture())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "scaled"), [((600, 900), (256, 384)), ((2000, 1000), (512, 256)), ((257, 300), (256, 299))]
)
def test_large_photos_are_scaled_to_the_short_side(kind: str, size: tuple[int, int], scaled: tuple[int, int]) -> None:
    photo = prepare_photo(encoded(picture(*size), kind))
    image = _opened(photo.data)
    assert image.size == scaled
    assert _close(image, picture(*size).resize(scaled, Image.Resampling.LANCZOS))
    assert photo.repairs == ()


@pytest.mark.parametrize("size", [(40, 30), (900, 1200), (30, 40)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_upright_original(size: tuple[int, int], orientation: int) -> None:
    image = picture(*size)
    exif = image.getexif()
    exif[0x0112] = orientation
    photo = prepare_photo(encoded(image, "JPEG", exif=exif))
    assert photo.size == (size if orientation < 5 else size[::-1])
    kept = Image.open(io.BytesIO(photo.data)).size
    assert (kept[0] < kept[1]) == (photo.size[0] < photo.size[1])


def test_scaling_keeps_fine_detail() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    large = Image.fromarray(fine).resize((1024, 1024), Image.Resampling.NEAREST)
    image = _opened(prepare_photo(encoded(large, "JPEG", quality=95, subsampling=0)).data)
    whole = large.resize((256, 256), Image.Resampling.LANCZOS)
    assert _close(image.convert("L"), whole.convert("L"), 8)


def test_small_photos_are_never_enlarged() -> None:
    assert _opened(prepare_photo(encoded(picture(30, 40))).data).size == (30, 40)


@pytest.mark.parametrize("size", [(40, 60), (400, 600)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(size: tuple[int, int], orientation: int) -> None:
    upright = picture(*size)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = prepare_photo(encoded(stored, "JPEG", exif=exif, quality=95))
    small = upright.resize((256, 384), Image.Resampling.LANCZOS) if size[0] > 256 else upright
    assert photo.repairs == ("turned as its EXIF says",)
    assert _opened(photo.data).getexif().get(0x0112, 1) == 1
    assert _opened(photo.data).size == small.size
    assert _close(_opened(photo.data), small)


def _frames(kind: str) -> bytes:
    first, second = picture(seed=1), picture(seed=2)
    return encoded(first, kind, save_all=True, append_images=[second])


def _half_transparent() -> Image.Image:
    image = picture().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 24, 16))
    return image


@pytest.mark.parametrize(
    ("data", "repairs"),
    [
        (encoded(picture().convert("CMYK"), "JPEG"), ("converted from CMYK",)),
        (encoded(picture().quantize(32)), ("converted from palette",)),
        (encoded(picture().quantize(32), "GIF"), ("converted from palette",)),
        (encoded(picture().convert("1")), ("converted from black and white",)),
        (encoded(picture().convert("LAB"), "TIFF"), ("converted from LAB",)),
        (encoded(Image.fromarray(np.full((20, 20), 40_000, np.uint16))), ("converted from 16-bit",)),
        (encoded(Image.fromarray(np.full((20, 20), 40_000, np.int32)), "TIFF"), ("converted from 32-bit",)),
        (encoded(Image.fromarray(np.full((20, 20), 0.5, np.float32)), "TIFF"), ("converted from 32-bit",)),
        (encoded(_half_transparent()), ("transparent, white put behind",)),
        (encoded(_half_transparent(), "WEBP"), ("transparent, white put behind",)),
        (encoded(picture().convert("RGBA")), ()),  # an alpha channel that hides nothing
        (encoded(picture(), "PNG", transparency=(255, 255, 255)), ()),
        (_frames("WEBP"), ("several frames, the first taken",)),
        (_frames("TIFF"), ("several frames, the first taken",)),
        (_frames("GIF"), ("several frames, the first taken", "converted from palette")),
    ],
)
def test_odd_photos_are_converted_and_named(data: bytes, repairs: tuple[str, ...]) -> None:
    photo = prepare_photo(data)
    assert photo.repairs == repairs
    assert _opened(photo.data).format == "JPEG"
    assert _opened(photo.data).mode == "RGB"


def test_sixteen_bits_a_channel_are_named() -> None:
    rows = b"".join(b"\0" + b"\x80\x00" * 60 for _ in range(20))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert prepare_photo(data).repairs == ("converted from 16-bit",)


def test_transparency_becomes_white() -> None:
    image = decode(encoded(_half_transparent()))
    assert image.getpixel((5, 5)) == (255, 255, 255)
    assert np.array_equal(np.asarray(image)[16:], pixels()[16:])


def test_sixteen_bits_keep_their_brightness() -> None:
    image = decode(encoded(Image.fromarray(np.full((20, 20), 0x8080, np.uint16))))
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_the_first_frame_is_taken() -> None:
    assert _close(decode(_frames("WEBP")), picture(seed=1), 12)


def test_equal_pixels_have_equal_hashes_whatever_the_file() -> None:
    png, bmp = prepare_photo(encoded(picture())), prepare_photo(encoded(picture(), "BMP"))
    assert png.pixels == bmp.pixels
    assert png.pixels != prepare_photo(encoded(picture(seed=1))).pixels
    # The same bytes in another shape are another photo.
    grey = Image.new("RGB", (20, 40), "grey")
    assert (
        prepare_photo(encoded(grey)).pixels != prepare_photo(encoded(grey.transpose(Image.Transpose.ROTATE_90))).pixels
    )


def test_the_same_photo_gives_the_same_bytes() -> None:
    data = encoded(picture(700, 900))
    assert prepare_photo(data) == prepare_photo(data)


def test_unreadable_exif_does_not_cost_the_photo() -> None:
    photo = prepare_photo(encoded(picture(), "JPEG", exif=b"Exif\0\0garbage"))
    assert photo.repairs == ()


_KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


@settings(max_examples=150, deadline=None)
@example("TIFF", [(0.052734375, b"\0\0\1")], 1.0)  # without dimensions, which Pillow misses only when it seeks
@given(
    st.sampled_from(_KINDS), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8)), max_size=4), st.floats(0, 1)
)
@pytest.mark.filterwarnings("ignore:::PIL", "ignore::PIL.Image.DecompressionBombWarning")
def test_no_file_does_more_than_cost_its_photo(kind: str, changes: list[tuple[float, bytes]], length: float) -> None:
    data = bytearray(encoded(picture(), kind))
    for where, new in changes:
        at = int(where * len(data))
        data[at : at + len(new)] = new
    try:
        photo = prepare_photo(bytes(data[: int(length * len(data))]))
    except PhotoError:
        return
    assert min(decode(photo.data).size) <= 256


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", [(80, 64), (224, 224), (32, 600), (1000, 1000)])
def test_a_jpeg_is_decoded_no_larger_than_its_frame_needs(orientation: int, fit: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(523, 1041), "JPEG", exif=exif)
    whole, scaled = decode(data), decode(data, fit)
    needed = min(1.0, fit[0] / whole.height, fit[1] / whole.width)  # of the whole photo's sides
    share = scaled.width / whole.width
    assert abs(scaled.height / whole.height - share) < 0.01
    assert needed - 0.005 <= share < max(2.1 * needed, 0.13)  # JPEG knows 1, 1/2, 1/4 and 1/8
    assert _close(scaled, whole.resize(scaled.size, Image.Resampling.BOX))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_are_decoded_whole(kind: str) -> None:
    data = encoded(picture(300, 200), kind)
    assert decode(data, (32, 32)) == decode(data)


def test_whoever_decodes_less_refuses_more() -> None:
    data = encoded(picture(20, 30))
    assert prepare_photo(data, most_pixels=600).size == (20, 30)
    with pytest.raises(LargePhotoError, match=r"more than 0\.000599 megapixels"):
        prepare_photo(data, most_pixels=599)
