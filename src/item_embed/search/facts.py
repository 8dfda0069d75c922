"""What a filter sees of a product's metadata: a text for every key, and a number where the text is one."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def facts(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str, float | None]]:
    """Yield every key that has a value, with that value as a text and, where it can be read as one, as a number.

    Feeds write numbers as texts, so `"49.90"` is the number 49.9 as well; `"49,90"` and `"49.90 EUR"` are texts only.
    Lists and objects are texts of JSON, true and false are `true` and `false`, null is no value.

    Examples:
        >>> list(facts({"price": "49.90", "colours": ["red"], "size": None}))
        [('price', '49.90', 49.9), ('colours', '["red"]', None)]
    """
    for key, value in metadata.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield key, text, None if isinstance(value, bool) else _number(text)


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None
