import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.hashes import PerceptualHash, perceptual_hash
from tests.catalogs import photo
from tests.evaluation.learners.made import fit, material
from tests.tiny import pattern


def test_the_hash_is_its_formula() -> None:
    data = pattern(7)
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((32, 32), Image.Resampling.LANCZOS), float)
    waves = [[math.cos(math.pi * u * (2 * x + 1) / 64) for x in range(32)] for u in range(8)]
    low = [
        sum(grey[y, x] * waves[v][y] * waves[u][x] for y in range(32) for x in range(32))
        for v in range(8)
        for u in range(8)
    ]
    above = [value > np.median(low) for value in low]
    np.testing.assert_array_equal(perceptual_hash(data) > 0, above)


def test_the_cosine_counts_the_bits_that_differ(catalog: Catalog, tmp_path: Path) -> None:
    fitted = fit(PerceptualHash(), material(catalog), tmp_path / "phash")
    photos = [pattern(1), pattern(2), None]
    vectors = fitted.embeds.embed(photos, ["mug", "mug", "mug"])
    bits = [perceptual_hash(photo) > 0 for photo in photos if photo]
    assert vectors[0] @ vectors[1] == pytest.approx(1 - 2 * (bits[0] != bits[1]).sum() / 64, abs=1e-6)
    assert not vectors[2].any()
    assert (fitted.parameters, fitted.samples, fitted.minutes) == (0, 0, 0)
    assert not (tmp_path / "phash").exists()


def test_a_photo_of_one_colour_has_a_hash() -> None:
    assert np.isfinite(perceptual_hash(photo((200, 200, 200)))).all()


def test_a_smaller_copy_has_nearly_the_same_hash() -> None:
    ramp = Image.fromarray(np.add.outer(np.arange(96), 2 * np.arange(64)).astype(np.uint8))
    hashes = []
    for size in ((64, 96), (32, 48)):
        file = io.BytesIO()
        ramp.resize(size).save(file, "PNG")
        hashes.append(perceptual_hash(file.getvalue()))
    assert (hashes[0] != hashes[1]).sum() <= 6
