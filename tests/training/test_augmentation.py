import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.config import AugmentationSettings, RunConfig
from item_embed.hashing import uniform
from item_embed.model.background import background_patches
from item_embed.objectives.masking import Stream
from item_embed.training import batches
from item_embed.training.augmentation import augment_photos
from item_embed.training.batches import PretrainingData
from tests.tiny import SIZE, tiny_catalog, tiny_config, tiny_processor, white_catalog
from tests.training.runs import StoppedError, records, train, weights

Photos = NDArray[np.uint8]

COLOURS = AugmentationSettings(brightness=0.4, contrast=0.4, saturation=0.4)
EVERYTHING = AugmentationSettings(mirror=0.5, scale=0.5, brightness=0.4, contrast=0.4, saturation=0.4)
EVERYTHING_SET = tuple(f"augmentation.{name}={value}" for name, value in EVERYTHING.model_dump().items())


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("augmentation") / "catalog")


def some_photos(count: int, size: tuple[int, int] = SIZE, seed: int = 0) -> Photos:
    """Noise, so that a byte out of place shows."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, *size), dtype=np.uint8)


def flat_photos(colours: NDArray[np.uint8], size: tuple[int, int] = SIZE) -> Photos:
    """One colour each, from (B, 3)."""
    return np.ascontiguousarray(np.broadcast_to(colours[:, :, None, None], (*colours.shape, *size)))


def augmented(photos: Photos, how: AugmentationSettings, seed: int = 0, epoch: int = 0) -> Photos:
    """Photos of rows 0, 1, 2, ... in one epoch."""
    rows = np.arange(len(photos))
    return augment_photos(photos, how, seed, np.full_like(rows, epoch), rows)


def drawn(stream: Stream, row: int, seed: int = 0, epoch: int = 0) -> float:
    return float(uniform(seed, stream, epoch, row))


def plainly_reframed(photo: Photos, scale: float, row: int) -> Photos:
    """Cut out and scaled by Pillow, each pixel beyond the border fetched from it."""
    height, width = photo.shape[1:]
    area = scale + (2 - 2 * scale) * drawn(Stream.AREA, row)
    widest = min(4 / 3, 1 / scale)
    aspect = math.exp(math.log(widest) * (2 * drawn(Stream.ASPECT, row) - 1))

    def along(side: int, share: float, draw: float) -> tuple[int, int, int, int]:
        seen = math.ceil(side * share) if share < 1 else side
        filled = side if share < 1 else math.ceil(side / share)
        return seen, int(draw * (side - seen + 1)), filled, int(draw * (side - filled + 1))

    h, top, filled_h, to_top = along(height, math.sqrt(area / aspect), drawn(Stream.DOWN, row))
    w, left, filled_w, to_left = along(width, math.sqrt(area * aspect), drawn(Stream.ACROSS, row))
    image = Image.fromarray(photo.transpose(1, 2, 0)).crop((left, top, left + w, top + h))
    part = np.asarray(image.resize((filled_w, filled_h), Image.Resampling.BILINEAR))
    result = np.empty_like(photo)
    for y in range(height):
        for x in range(width):
            inside = min(max(y - to_top, 0), filled_h - 1), min(max(x - to_left, 0), filled_w - 1)
            result[:, y, x] = part[inside]
    return result


def plainly_relit(photo: Photos, how: AugmentationSettings, row: int) -> NDArray[np.float64]:
    """Brightness, then contrast, then saturation, pixel by pixel."""
    b = 1 + how.brightness * (2 * drawn(Stream.BRIGHTNESS, row) - 1)
    c = 1 + how.contrast * (2 * drawn(Stream.CONTRAST, row) - 1)
    s = 1 + how.saturation * (2 * drawn(Stream.SATURATION, row) - 1)
    pixels = [[float(byte) * b for byte in pixel] for pixel in photo.reshape(3, -1).T]
    mean = sum(0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in pixels) / len(pixels)
    result = []
    for pixel in pixels:
        contrasted = [mean + c * (value - mean) for value in pixel]
        grey = 0.299 * contrasted[0] + 0.587 * contrasted[1] + 0.114 * contrasted[2]
        result.append([min(max(grey + s * (value - grey), 0.0), 255.0) for value in contrasted])
    return np.array(result).T.reshape(photo.shape)


@pytest.mark.parametrize("size", [SIZE, (16, 24)])
@pytest.mark.parametrize("scale", [0.2, 0.9])
def test_reframing_is_that_of_a_plain_loop(scale: float, size: tuple[int, int]) -> None:
    photos = some_photos(12, size)
    for row, (photo, shown) in enumerate(
        zip(photos, augmented(photos, AugmentationSettings(scale=scale)), strict=True)
    ):
        assert np.abs(shown.astype(int) - plainly_reframed(photo, scale, row)).max() <= 1  # Pillow rounds twice


@pytest.mark.parametrize(
    "how",
    [
        COLOURS,
        AugmentationSettings(brightness=0.9),
        AugmentationSettings(contrast=0.9),
        AugmentationSettings(saturation=0.9),
    ],
)
def test_relighting_is_that_of_a_plain_loop(how: AugmentationSettings) -> None:
    photos = some_photos(8)
    for row, (photo, shown) in enumerate(zip(photos, augmented(photos, how), strict=True)):
        assert np.abs(shown - plainly_relit(photo, how, row)).max() < 0.6  # rounding, and factors in steps of 2 ** -12


def test_relighting_is_whole_number_arithmetic_to_the_last_bit() -> None:
    """So nothing that only changes the order of sums (blocks, threads, processors) can change a byte."""
    photos, rows = some_photos(60, (32, 32)), np.arange(60)
    b, c, s = (
        1 + 0.4 * (2 * uniform(0, stream, np.zeros(60, int), rows) - 1)[:, None, None]
        for stream in (Stream.BRIGHTNESS, Stream.CONTRAST, Stream.SATURATION)
    )
    grey = np.array([1225, 2404, 467])  # of 4096
    total = photos.sum(axis=(2, 3), dtype=np.int64) @ grey
    factors = np.round(c * b * (s * np.eye(3) + (1 - s) * grey / 4096) * 4096).astype(int)
    offset = np.round((1 - c) * b / 1024 * total[:, None, None]).astype(int)
    whole = (factors @ photos.reshape(60, 3, -1).astype(int) + offset + 2048) >> 12
    assert (augmented(photos, COLOURS).reshape(whole.shape) == whole.clip(0, 255)).all()


def test_the_changes_follow_one_another() -> None:
    photos = some_photos(30)
    one_by_one = photos
    for how in (AugmentationSettings(mirror=0.5), AugmentationSettings(scale=0.5), COLOURS):
        one_by_one = augmented(one_by_one, how)
    assert (augmented(photos, EVERYTHING) == one_by_one).all()


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(0, 2**31), st.integers(0, 1000), st.randoms())
@settings(max_examples=25, deadline=None)
def test_a_row_is_shown_the_same_however_the_work_is_split(
    cuts: list[int], seed: int, epoch: int, random: Random
) -> None:
    photos = some_photos(40, (16, 8), seed)
    rows, epochs = np.arange(100, 140), epoch + np.arange(40) % 3
    whole = augment_photos(photos, EVERYTHING, seed, epochs, rows)
    order = np.array(random.sample(range(40), 40))
    for part in np.split(order, sorted(cuts)):
        assert (augment_photos(photos[part], EVERYTHING, seed, epochs[part], rows[part]) == whole[part]).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_neither_blocks_nor_threads_change_a_byte(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = some_photos(9, (112, 96))
    whole = augmented(photos, COLOURS)
    monkeypatch.setattr("item_embed.training.augmentation._BLOCK", 4 * photos[0].size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert (augmented(photos, COLOURS) == whole).all()
    finally:
        torch.set_num_threads(before)


def test_no_row_influences_another() -> None:
    photos, others = some_photos(20), some_photos(20, seed=1)
    others[7] = photos[7]
    changed, elsewhere = augmented(photos, EVERYTHING), augmented(others, EVERYTHING)
    assert (changed[7] == elsewhere[7]).all()
    assert (changed[6] != elsewhere[6]).any()


def test_seed_epoch_and_row_each_change_the_photo_and_the_one_given_stays() -> None:
    photos = np.repeat(some_photos(1), 6, axis=0)
    before = photos.copy()
    first = augmented(photos, EVERYTHING)
    assert len({photo.tobytes() for photo in first}) == 6
    assert all((a != b).any() for a, b in zip(first, augmented(photos, EVERYTHING, seed=1), strict=True))
    assert all((a != b).any() for a, b in zip(first, augmented(photos, EVERYTHING, epoch=1), strict=True))
    assert (photos == before).all()


def test_off_are_the_same_bytes() -> None:
    photos = some_photos(5)
    assert not AugmentationSettings().on
    assert (augmented(photos, AugmentationSettings()) == photos).all()
    assert augmented(photos[:0], EVERYTHING).shape == (0, 3, *SIZE)
    for name, value in EVERYTHING.model_dump().items():
        how = AugmentationSettings(**{name: value})
        assert how.on, name
        assert (augmented(photos, how) != photos).any(), name


def test_mirrored_twice_is_the_photo_and_the_share_is_the_probability() -> None:
    photos = some_photos(4)
    always = AugmentationSettings(mirror=1)
    assert (augmented(photos, always) == photos[:, :, :, ::-1]).all()
    assert (augmented(augmented(photos, always), always) == photos).all()
    many = np.repeat(some_photos(1, (2, 2)), 4000, axis=0)
    share = (augmented(many, AugmentationSettings(mirror=0.3)) != many).any(axis=(1, 2, 3)).mean()
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 4000)


def test_white_stays_white_and_flat_stays_flat() -> None:
    white = flat_photos(np.full((50, 3), 255, np.uint8))
    assert (augmented(white, AugmentationSettings(mirror=0.5, scale=0.3, saturation=0.9)) == 255).all()
    colours = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    assert (augmented(flat_photos(colours), AugmentationSettings(scale=0.3)) == colours[:, :, None, None]).all()
    changed = augmented(flat_photos(colours), EVERYTHING)
    assert (changed == changed[:, :, :1, :1]).all()
    assert (changed[:, :, 0, 0] != colours).any()


def test_grey_stays_grey_whatever_the_saturation() -> None:
    photos = np.repeat(some_photos(50)[:, :1], 3, axis=1)
    assert (augmented(photos, AugmentationSettings(saturation=0.9)) == photos).all()


@pytest.mark.parametrize("scale", [0.3, 0.8])
def test_never_less_than_the_share_is_kept_nor_shrunk_further_and_every_place_is_reached(scale: float) -> None:
    height, width = 64, 48
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    photos = np.repeat(np.stack([y, x, x])[None], 2000, axis=0)  # each pixel tells where it comes from
    kept, sizes, tops = [], [], []
    for photo in augmented(photos, AugmentationSettings(scale=scale)):
        down, across = photo[0, :, 0].astype(int), photo[1, 0].astype(int)
        seen = np.ptp(down) + 1, np.ptp(across) + 1
        kept.append(seen[0] * seen[1] / (height * width))
        # Where more is seen than there is, the border is repeated: what it takes besides its own pixel.
        filled = [
            side - max(0, (line == line[0]).sum() - 2) - max(0, (line == line[-1]).sum() - 2)
            for side, line in ((height, down), (width, across))
        ]
        sizes.append(filled[0] * filled[1] / (height * width))
        tops.append(down[0])
    edge = (1 / height + 1 / width) * 2  # scaling blurs a pixel at each end
    assert scale - edge <= min(kept) < scale + 0.15
    assert 1 / (2 - scale) - edge <= min(sizes)
    assert min(sizes) < 1 / (2 - scale) + 0.15
    assert max(kept) == 1
    assert min(tops) == 0
    assert max(tops) > height * (1 - math.sqrt(scale)) * 0.6


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_fill_their_range(name: str) -> None:
    photos = np.full((3000, 3, 2, 2), 100, np.uint8)
    photos[:, 0, :, 0], photos[:, :, :, 1] = 140, 80  # not grey, and not flat
    shown = augmented(photos, AugmentationSettings(**{name: 0.25})).astype(float)
    grey = np.tensordot(shown, [0.299, 0.587, 0.114], axes=(1, 0))
    measured = {
        "brightness": shown[:, 1, 0, 0] / 100,
        "contrast": (grey[:, 0, 0] - grey[:, 0, 1]) / (100 + 0.299 * 40 - 80),
        "saturation": (shown[:, 0, 0, 0] - shown[:, 1, 0, 0]) / 40,
    }[name]
    rounding = 0.04
    assert 0.75 - rounding <= measured.min() < 0.75 + rounding
    assert 1.25 - rounding < measured.max() <= 1.25 + rounding
    assert abs(measured.mean() - 1) < 0.02


def data_of(catalog: Catalog, config: RunConfig) -> PretrainingData:
    return PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)


def test_where_everything_is_off_nothing_is_entered(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(batches, "augment_photos", refuse)
    assert len(data_of(catalog, tiny_config())[0]) == 1
    with pytest.raises(AssertionError):
        data_of(catalog, tiny_config("augmentation.mirror=0.1"))[0]


def test_a_batch_shows_what_its_own_row_draws_and_no_photo_stays_white(catalog: Catalog) -> None:
    config = tiny_config(*EVERYTHING_SET, "objectives.mismatch_rate=0.5", "training.seed=3")
    data = data_of(catalog, config)
    unchanged = data_of(catalog, config.model_copy(update={"augmentation": AugmentationSettings()}))
    rows, epochs = catalog.rows("train"), np.full(32, 4)
    photos, batch = unchanged.batch(rows, epochs).pixels.numpy(), data.batch(rows, epochs)
    expected = augment_photos(photos, EVERYTHING, 3, epochs, rows)
    missing = batch.photo_missing.numpy()
    assert missing.any()
    assert not batch.matched.all()
    assert (batch.pixels.numpy()[~missing] == expected[~missing]).all()
    assert (batch.pixels.numpy()[missing] == 255).all()


def test_held_out_rows_are_measured_as_they_are(catalog: Catalog) -> None:
    data, unchanged = data_of(catalog, tiny_config(*EVERYTHING_SET)), data_of(catalog, tiny_config())
    rows = catalog.rows("train")
    for epoch in (-1, -2):  # of validation and of reconstruction
        epochs = np.full(len(rows), epoch)
        assert torch.equal(data.batch(rows, epochs).pixels, unchanged.batch(rows, epochs).pixels)
    epochs = np.arange(len(rows)) % 2 - 1
    changed = (data.batch(rows, epochs).pixels != unchanged.batch(rows, epochs).pixels).flatten(1).any(dim=1).numpy()
    assert not changed[epochs < 0].any()
    assert changed[epochs == 0].any()


def test_background_is_that_of_the_photo_as_changed(tmp_path: Path) -> None:
    config = tiny_config(*EVERYTHING_SET, "model.background=drop", "training.batch_size=32")
    (batch,) = data_of(white_catalog(tmp_path / "catalog"), config)[0]
    assert (batch.background.numpy() == background_patches(batch.pixels.numpy(), 8)).all()
    assert 0.2 < batch.background.float().mean() < 0.8  # half of the patches are drawn white


def test_parts_of_a_batch_are_its_photos_in_order(catalog: Catalog) -> None:
    (whole,) = data_of(catalog, tiny_config(*EVERYTHING_SET))[1]
    parts = data_of(catalog, tiny_config(*EVERYTHING_SET, "training.accumulation=4"))[1]
    assert torch.equal(torch.cat([part.pixels for part in parts]), whole.pixels)


def test_an_augmented_run_stopped_goes_on_bit_for_bit(catalog: Catalog, tmp_path: Path) -> None:
    train(catalog, tmp_path / "whole", *EVERYTHING_SET)
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "run", *EVERYTHING_SET, stop_at=3)
    train(catalog, tmp_path / "run", *EVERYTHING_SET, resume=True)
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    train(catalog, tmp_path / "plain")
    assert records(tmp_path / "plain", "train") != records(tmp_path / "whole", "train")


def test_a_run_of_before_augmentation_can_be_resumed(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "run", stop_at=3)
    file = tmp_path / "run" / "config.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf8"))
    assert not AugmentationSettings(**settings.pop("augmentation")).on
    file.write_text(yaml.safe_dump(settings), encoding="utf8")
    assert train(catalog, tmp_path / "run", resume=True).steps == 6
