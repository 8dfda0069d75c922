"""Packed text feeds: gzip, bzip2, xz and Zstandard, told by their first bytes and not by their names."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa

from item_embed.catalog.feeds.places import FullReads, UnreachableError

_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")


def _zstandard(stream: BinaryIO) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")


_PACKINGS: tuple[tuple[str, re.Pattern[bytes], Callable[[BinaryIO], Any]], ...] = (
    (".gz", re.compile(rb"\x1f\x8b"), lambda stream: gzip.GzipFile(fileobj=stream, mode="rb")),
    (".bz2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2File),
    (".xz", re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
    (".zst", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstandard),
)


class DamagedError(EOFError):
    """A packed file ends too early, or holds what its packing does not allow."""


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """The bytes that a stream holds, unpacked where it is packed.

    A server may have unpacked what is still called `.csv.gz`, and an export may be packed and called `.csv`: both are
    read. What is called packed and is neither packed nor text is refused.

    Args:
        stream: with `peek`; closed with what is returned.
        name: of the file.

    Raises:
        DamagedError: when it is called packed, and is neither that nor text.
    """
    head = _look(stream)
    for _, start, unpack in _PACKINGS:
        if start.match(head):
            return io.BufferedReader(_Unpacked(unpack(stream), stream), 1 << 16)
    for suffix, _, _ in _PACKINGS:
        if name.lower().endswith(suffix) and (_CONTROL.search(head) or head.startswith(b"BZh")):
            raise DamagedError(f"it does not begin as a {suffix} file does")
    return stream


def _look(stream: Any) -> bytes:
    data: bytes = stream.peek(4096)[:4096]
    return data


class _Unpacked(FullReads):
    def __init__(self, inner: Any, packed: BinaryIO) -> None:
        super().__init__(inner)
        self._packed = packed

    def piece(self, size: int) -> bytes:
        try:
            return super().piece(size)
        except UnreachableError:
            raise
        except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise DamagedError(str(error)) from None
        except OSError as error:  # of the unpackers with no number, of the disk with one
            if error.errno is not None:
                raise
            raise DamagedError(str(error)) from None

    def close(self) -> None:
        super().close()
        self._packed.close()
