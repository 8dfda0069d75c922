"""Finding a row's photo: bytes in the feed, a file inside the folders that the user named, or a URL."""

import base64
import binascii
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from item_embed.catalog.photos.images import PhotoError
from item_embed.catalog.titles import is_placeholder

LARGEST_FILE = 64 << 20  # bytes; no product photo is larger

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//|https?:", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[^,;]{0,100}(?:;(?!base64)[^,;]{0,100})*(?P<base64>;base64)?,", re.IGNORECASE)
_BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD")  # JPEG, PNG, WebP, GIF
_WINDOWS_DRIVE = re.compile(r"[a-zA-Z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a value of the image column stands for: a photo's bytes, a path, or a URL.

    Attributes:
        data: the bytes, or a text that holds them.
        repairs: what had to be chosen to find it.
    """

    data: bytes | str | None = None
    path: str | None = None
    url: str | None = None
    repairs: tuple[str, ...] = ()


def refer(value: Any) -> Reference:
    """Say what a value of the image column stands for, without reading anything.

    Args:
        value: bytes, a path, a URL (`http`, `https`, `file`, `data`, or of an object store), a mapping with `bytes` or
            `path`, or a list of these.

    Raises:
        PhotoError: when it stands for nothing; the message is the reason.

    Examples:
        >>> refer(["images/1.jpg", "images/2.jpg"]).path
        'images/1.jpg'
    """
    repairs: tuple[str, ...] = ()
    while isinstance(value, list | tuple | Mapping):  # a loop: JSON may nest deeper than calls can
        if isinstance(value, Mapping):  # how Hugging Face stores an image
            held = value.get("bytes")
            value = held if held is not None else value.get("path")
            continue
        given = [one for one in value if one]
        if len(given) > 1:
            repairs = ("photo: several given, the first taken",)
        value = given[0] if given else None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise PhotoError("absent")
    if isinstance(value, bytes):
        return Reference(data=value, repairs=repairs)
    if isinstance(value, str):
        return _from_text(value.strip(), repairs)
    raise PhotoError("neither bytes nor a path")


def _from_text(text: str, repairs: tuple[str, ...]) -> Reference:
    if not text or is_placeholder(text):
        raise PhotoError("absent")
    if _DATA_URI.match(text) or (len(text) > 256 and text.startswith(_BASE64_STARTS)):
        return Reference(data=text, repairs=repairs)
    if text.lower().startswith("file://"):
        try:
            return Reference(path=unquote(urlsplit(text).path), repairs=repairs)
        except ValueError:  # brackets or other marks that no address has
            raise PhotoError("not a valid path") from None
    return Reference(url=text, repairs=repairs) if _URL.match(text) else Reference(path=text, repairs=repairs)


def _embedded(text: str) -> bytes:
    """The bytes of a `data:` URL, or of bare base64."""
    uri = _DATA_URI.match(text)
    if uri is not None and not uri["base64"]:
        return unquote_to_bytes(text[uri.end() :])
    packed = "".join(text[uri.end() if uri else 0 :].split())  # some exporters wrap it into lines
    try:
        return base64.b64decode(unquote(packed), validate=True)
    except (binascii.Error, ValueError):
        raise PhotoError("not valid base64") from None


@dataclass(frozen=True)
class PhotoFolders:
    """Where a feed's photos may lie.

    Args:
        folders: relative paths are looked up in these, the first hit wins.
        allow_outside: also read files outside the folders, and absolute paths.
        remote: the URL of an object store's folder, where relative paths lie in it; ends in "/".
    """

    folders: tuple[Path, ...] = ()
    allow_outside: bool = False
    remote: str = ""

    def url_of(self, reference: Reference) -> str | None:
        """The URL of a photo that has to be fetched; None where its bytes are at hand or in a local file."""
        if reference.path is not None and self.remote:
            return reference.path if _URL.match(reference.path) else self.remote + reference.path.removeprefix("./")
        return reference.url

    def load(self, reference: Reference) -> bytes:
        """The bytes of a photo in the feed itself or in a file.

        Raises:
            PhotoError: when the file cannot be found or read, or lies outside; the message is the reason.
        """
        if isinstance(reference.data, str):
            return _embedded(reference.data)
        if reference.data is not None:
            return reference.data
        return self._read(self._find(reference.path or ""))

    def _find(self, text: str) -> Path:
        """The file that a path means, refused where it leads out of the folders."""
        absolute = Path(text).is_absolute() or bool(_WINDOWS_DRIVE.match(text))
        if absolute and not self.allow_outside:
            raise PhotoError("absolute path, refused without --allow-outside")
        names = [text, text.replace("\\", "/")] if "\\" in text else [text]
        outside = False
        for candidate in (folder / name for name in names for folder in self.folders):
            try:
                resolved = candidate.resolve()
                inside = any(resolved.is_relative_to(folder.resolve()) for folder in self.folders)
                exists = resolved.exists()
            except (OSError, ValueError, RuntimeError):  # too long, a NUL character, a circle of links
                raise PhotoError("not a valid path") from None
            if not inside and not self.allow_outside:
                outside = True
            elif exists:
                return resolved
        raise PhotoError("outside the feed's folder, refused without --allow-outside" if outside else "file not found")

    def _read(self, path: Path) -> bytes:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device could wait for ever
                raise PhotoError("not a file")
            if status.st_size > LARGEST_FILE:
                raise PhotoError(f"file larger than {LARGEST_FILE >> 20} MB")
            return path.read_bytes()
        except OSError:
            raise PhotoError("file cannot be read") from None
