import os
from pathlib import Path

import numpy as np
import pytest

from item_embed.embedding.parcels import Parcels, pack
from item_embed.model.photos import ReadyPhoto


def made(number: int) -> ReadyPhoto:
    """A photo of its own, not in one piece of memory."""
    pixels = np.random.default_rng(number).integers(0, 256, (3, 6, 8), dtype=np.uint8)[:, :, ::2]
    return ReadyPhoto(pixels, np.arange(4) % 2 == number % 2)


@pytest.mark.parametrize("wanted", [True, False])
def test_parcels_hold_what_was_packed_in_their_order(wanted: bool) -> None:
    photos = [[made(number) for number in part] for part in ((0, 1, 2), (), (3,))]
    with Parcels(wanted) as parcels:
        addresses = [parcels.address() for _ in photos]
        packed = [pack(part, address) for part, address in reversed(list(zip(photos, addresses, strict=True)))]
        if wanted:
            assert all(photo.pixels.size == 0 for part in packed for photo in part)
        for part, sent in zip(photos, reversed(packed), strict=True):
            unpacked = parcels.unpack(sent)
            assert len(unpacked) == len(part)
            for one, other in zip(part, unpacked, strict=True):
                np.testing.assert_array_equal(one.pixels, other.pixels)
                assert one.background is other.background


def test_where_there_are_no_files_in_memory_photos_come_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with Parcels(wanted=True) as parcels:
        assert parcels.address() is None
        photos = [made(0)]
        assert parcels.unpack(pack(photos, None)) == photos


def test_nothing_is_left_of_parcels_that_nobody_unpacked() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Parcels(wanted=True) as parcels:
        assert {parcels.address() for _ in range(3)} != {None}
    assert len(list(Path("/proc/self/fd").iterdir())) == before
