"""Decoded photos from workers to the encoder's process, by files that are nowhere but in memory.

What a worker returns goes through a pipe, which takes 64 kB at once: for 64 photos of 224 x 224 pixels the two
processes would wait for each other 150 times. Linux has such files; elsewhere photos take the pipe.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from item_embed.model.photos import ReadyPhoto


class Parcels:
    """The parcels that are under way; a context, at whose end they are gone.

    Args:
        wanted: whether there are workers that fill them.

    Examples:
        >>> with Parcels(wanted=False) as parcels:
        ...     parcels.address()
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted and hasattr(os, "memfd_create")
        self._sent: deque[int] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._sent:
            os.close(self._sent.popleft())

    def address(self) -> str | None:
        """Where a worker leaves the pixels of the next photos; None: they come with the photos."""
        if not self._wanted:
            return None
        self._sent.append(os.memfd_create("photos"))
        return f"/proc/{os.getpid()}/fd/{self._sent[-1]}"

    def unpack(self, photos: Sequence[ReadyPhoto]) -> list[ReadyPhoto]:
        """What `pack` was given, whose addresses are asked for in the order of their parcels."""
        if not self._wanted:
            return list(photos)
        parcel = self._sent.popleft()
        try:
            content = np.frombuffer(os.pread(parcel, os.fstat(parcel).st_size, 0), np.uint8)
        finally:
            os.close(parcel)
        if not photos:
            return []
        pixels = content.reshape(len(photos), 3, *photos[0].pixels.shape[1:])
        return [photo._replace(pixels=own) for photo, own in zip(photos, pixels, strict=True)]


def pack(photos: Sequence[ReadyPhoto], address: str | None) -> list[ReadyPhoto]:
    """Leave the pixels of photos at an address; what is given back is all but them."""
    if address is None:
        return list(photos)
    with Path(address).open("r+b") as parcel:
        for photo in photos:
            parcel.write(np.ascontiguousarray(photo.pixels).data)
    return [photo._replace(pixels=photo.pixels[:0]) for photo in photos]
