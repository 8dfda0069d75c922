"""Titles: cleaning what feeds do to them, and the form in which two titles count as equal."""

import html
import math
import re
import unicodedata
from html.entities import html5
from typing import Any

#: The number of the rules by which rows are cleaned; to be raised when one would come out otherwise, for `--update`.
CLEANING = 2

LONGEST_TITLE = 512  # characters; longer ones are descriptions pasted into the wrong column

_NOT_A_WORD = re.compile(r"[^\w]+")
# Entities without their semicolon stay: "AT&T" and "Salt&lt Pepper" are more often text than HTML.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# What an entity in capitals may stand for: Latin letters and signs, dashes, quotes, euro, trade mark. Of other signs
# "BLACK&IN; RED" and "AM&PM;" would make \u2208 and \u00b1.
_SHOUTED = re.compile("[\u00a0-\u00b0\u00b2-\u017f\u2000-\u206f\u20ac\u2122]")
_TAG = re.compile(
    r"</?(?:b|i|u|a|p|br|em|sup|sub|div|span|font|strong|small|h[1-6]|li|ul)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_MOJIBAKE = re.compile("[\u00c2-\u00f4][\u0080-\uffff]")  # a UTF-8 lead byte read as one character
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffd]")
_PLACEHOLDERS = {"nan", "none", "null", "n/a", "#n/a", "<na>"}


def normalise_title(title: str) -> str:
    """The form in which two titles are compared: Unicode NFKC, case folded, punctuation and spacing dropped.

    Examples:
        >>> normalise_title("Nike  AIR-Max, 90!")
        'nike air max 90'
    """
    return _NOT_A_WORD.sub(" ", unicodedata.normalize("NFKC", title).casefold()).strip()


def clean_title(value: Any) -> tuple[str | None, list[str]]:
    """A feed's title as clean text, and the repairs that took, by name.

    Runs of spaces become one space without being named; every other change is.

    Args:
        value: whatever stands in the feed's title column.

    Returns:
        The title, or None where nothing readable is left, and the repairs.

    Examples:
        >>> clean_title("T-shirt &amp; shorts")
        ('T-shirt & shorts', ['title: HTML entities'])
    """
    if isinstance(value, dict | list | tuple):
        return None, ["title: not a text"]
    text, found = clean_text(value)
    repairs = [f"title: {name}" for name in found]
    if text and not normalise_title(text):
        return None, [*repairs, "title: no letter or digit"]
    if text and len(text) > LONGEST_TITLE:
        text = _cut(text)
        repairs.append(f"title: longer than {LONGEST_TITLE} characters, cut")
    return text or None, repairs


def clean_text(value: Any) -> tuple[str | None, list[str]]:
    """One scalar of the feed as a clean line of text, or None, and the names of what was mended in it."""
    text = plain_text(value)
    if text is None:
        return None, []
    if is_placeholder(text):
        return None, ["placeholder for no value"]
    repairs = []
    for name, mend in _MENDS:
        mended = mend(text)
        if mended != text:
            repairs.append(name)
        text = mended
    return " ".join(text.split()) or None, repairs


def clean_key(value: Any) -> str | None:
    """An id as text, or None: only what nobody can see is taken out of it, so that different ids stay different."""
    text = plain_text(value)
    return None if text is None or is_placeholder(text) else _controls(text).strip() or None


def plain_text(value: Any) -> str | None:
    """A scalar as text; whole floats, as in an integer column with gaps, lose their ".0"."""
    if value is None or isinstance(value, dict | list | tuple) or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def is_placeholder(text: str) -> bool:
    """Whether a text says that there is no value: "nan", "None", "N/A", ..."""
    return text.strip().casefold() in _PLACEHOLDERS


def _entities(text: str) -> str:
    for _ in range(2):  # exporters often escape twice: &amp;amp;
        text = _ENTITY.sub(_entity, text)
    return text


def _entity(match: re.Match[str]) -> str:
    """What one stands for, if it is one as a whole; of titles that somebody shouted, too: &NBSP;, &EACUTE;."""
    entity = match.group()
    name = entity[1:]
    if name.startswith("#"):
        return html.unescape(entity)
    if name in html5:
        return html5[name]
    meant = html5.get(name.lower(), "")
    if not _SHOUTED.fullmatch(meant) or not (name.isupper() or name.istitle()):
        return entity
    loud = meant.upper()
    return loud if name.isupper() and _SHOUTED.fullmatch(loud) else meant


def _tags(text: str) -> str:
    return _TAG.sub(" ", text)


def _mojibake(text: str) -> str:
    """Undo UTF-8 that was read as Windows-1252, where the whole text proves it by decoding strictly."""
    if not _MOJIBAKE.search(text):
        return text
    try:
        return b"".join(_as_byte(character) for character in text).decode("utf-8")
    except UnicodeError:
        return text


def _as_byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:  # five bytes are undefined in Windows-1252; decoders pass them through
        return character.encode("latin-1")


def _controls(text: str) -> str:
    text = _INVISIBLE.sub("", text)
    if text.isprintable():
        return text
    return "".join(_without_control(character) for character in text)


def _without_control(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return ""
    return " " if category == "Cc" else character


def _cut(text: str) -> str:
    """The first characters, ending after a whole word where there is one."""
    head, _, _ = text[: LONGEST_TITLE + 1].rpartition(" ")
    return head.rstrip() or text[:LONGEST_TITLE]


_MENDS = (
    ("HTML entities", _entities),
    ("HTML tags", _tags),
    ("UTF-8 read as another encoding", _mojibake),
    ("control characters or line breaks", _controls),
)
