"""What a filter means, in plain Python: the yardstick of its translation to SQL."""

import operator
from collections.abc import Callable
from typing import Any

from item_embed.search.facts import facts
from item_embed.search.filters import COLUMNS, And, Comparison, Filter, Membership, Missing, Not, Or, Value
from item_embed.search.items import Item

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(filtered: Filter, item: Item) -> bool:
    """Whether a filter is true of a product."""
    match filtered:
        case And(parts):
            return all(holds(part, item) for part in parts)
        case Or(parts):
            return any(holds(part, item) for part in parts)
        case Not(part):
            return not holds(part, item)
        case Missing(field):
            return _text(item, field.name) is None
        case Comparison(field, sign, value):
            mine = _like(value, item, field.name)
            return mine is not None and SIGNS[sign](mine, value)
        case Membership(field, values):
            return any(_like(value, item, field.name) == value for value in values)


def _like(value: Value, item: Item, name: str) -> Value | None:
    """The product's value of a field, of the kind of what it is compared with."""
    if isinstance(value, str):
        return _text(item, name)
    return next((number for key, _, number in facts(item.metadata) if key == name), None)


def _text(item: Item, name: str) -> str | None:
    if name in COLUMNS:
        found: str | None = getattr(item, name)
        return found
    return next((text for key, text, _ in facts(item.metadata) if key == name), None)
