"""Finding a row's photo: bytes in the feed, or a file inside the folders that the user named."""

import base64
import binascii
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from item_embed.catalog.photos.images import Photo, PhotoError, prepare_photo
from item_embed.catalog.titles import is_placeholder

LARGEST_FILE = 64 << 20  # bytes; no product photo is larger

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD")  # JPEG, PNG, WebP, GIF
_WINDOWS_DRIVE = re.compile(r"[a-zA-Z]:[\\/]")


@dataclass(frozen=True)
class PhotoFolders:
    """Where a feed's photos may lie.

    Args:
        folders: relative paths are looked up in these, the first hit wins.
        allow_outside: also read files outside the folders, and absolute paths.
    """

    folders: tuple[Path, ...]
    allow_outside: bool = False

    def fetch(self, value: Any) -> tuple[Photo | None, list[str]]:
        """Load and prepare the photo that a value of the image column stands for.

        Args:
            value: bytes, a path, a `file://` or `data:` URI, a mapping with `bytes` or `path`, or a list of
                these.

        Returns:
            The photo or None, and the repairs by name: why there is no photo, or what was converted.
        """
        try:
            data, repairs = self._load(value)
            photo = prepare_photo(data)
        except PhotoError as error:
            return None, [f"photo: {error}"]
        return photo, [*repairs, *(f"photo: {repair}" for repair in photo.repairs)]

    def _load(self, value: Any) -> tuple[bytes, list[str]]:
        repairs: list[str] = []
        while isinstance(value, list | tuple | Mapping):  # a loop: JSON may nest deeper than calls can
            if isinstance(value, Mapping):  # how Hugging Face stores an image
                held = value.get("bytes")
                value = held if held is not None else value.get("path")
                continue
            given = [one for one in value if one]
            if len(given) > 1:
                repairs = ["photo: several given, the first taken"]
            value = given[0] if given else None
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise PhotoError("absent")
        if isinstance(value, bytes):
            return value, repairs
        if isinstance(value, str):
            return self._from_text(value.strip()), repairs
        raise PhotoError("neither bytes nor a path")

    def _from_text(self, text: str) -> bytes:
        if not text or is_placeholder(text):
            raise PhotoError("absent")
        embedded = _DATA_URI.match(text)
        if embedded or (len(text) > 256 and text.startswith(_BASE64_STARTS)):
            try:
                return base64.b64decode(text[embedded.end() if embedded else 0 :], validate=True)
            except (binascii.Error, ValueError):
                raise PhotoError("not valid base64") from None
        if text.lower().startswith("file://"):
            try:
                text = unquote(urlsplit(text).path)
            except ValueError:  # brackets or other marks that no address has
                raise PhotoError("not a valid path") from None
        elif _URL.match(text):
            raise PhotoError("is a URL, and only local photos are read")
        return self._read(self._find(text))

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
