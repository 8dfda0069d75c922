"""A filter as a condition of SQL over the tables of `store.py`; every value and name is bound, none becomes text."""

from collections.abc import Mapping
from dataclasses import dataclass

from item_embed.search.filters import (
    COLUMNS,
    And,
    Comparison,
    Field,
    Filter,
    Membership,
    Missing,
    Not,
    Or,
    Value,
    parse_filter,
    wrong_filter,
)

_SHOWN = 20  # fields named to somebody who asked for one that is not there


@dataclass(frozen=True)
class Condition:
    """A condition on rows of `items`, and what is bound to its question marks. It is true or false, never null."""

    sql: str
    bound: tuple[str | float | int, ...] = ()

    def __add__(self, other: "Condition") -> "Condition":
        return Condition(self.sql + other.sql, self.bound + other.bound)


def condition(text: str, keys: Mapping[str, int]) -> Condition:
    """Translate a filter.

    Args:
        text: the filter, in the grammar of `filters`.
        keys: the number of every key that metadata have, as in `facts.key`.

    Raises:
        FilterError: when the filter cannot be read, names a field that no product has, or compares a text column
            with a number; with the letter where.

    Example:
        >>> condition("price < 50", {"price": 3})
        Condition(sql='row IN (SELECT row FROM facts WHERE key = ? AND number < ?)', bound=(3, 50.0))
    """
    return _Translator(text, keys).translate(parse_filter(text))


class _Translator:
    def __init__(self, text: str, keys: Mapping[str, int]) -> None:
        self._text = text
        self._keys = keys

    def translate(self, part: Filter) -> Condition:
        match part:
            case And(parts):
                return self._joined(parts, " AND ")
            case Or(parts):
                return self._joined(parts, " OR ")
            case Not(negated):
                return Condition("NOT (") + self.translate(negated) + Condition(")")
            case Missing(field):
                return self._missing(field)
            case Comparison(field, sign, value):
                return self._holding(field, sign, (value,))
            case Membership(field, values):
                return self._member(field, values)

    def _joined(self, parts: tuple[Filter, ...], word: str) -> Condition:
        """Joined as a balanced tree: SQLite reads no expression that is deeper than a thousand."""
        conditions = [Condition("(") + self.translate(part) + Condition(")") for part in parts]
        while len(conditions) > 1:
            pairs = [conditions[i : i + 2] for i in range(0, len(conditions), 2)]
            conditions = [
                Condition("(") + pair[0] + Condition(word) + pair[1] + Condition(")") if len(pair) == 2 else pair[0]
                for pair in pairs
            ]
        return conditions[0]

    def _missing(self, field: Field) -> Condition:
        if field.name in COLUMNS:
            return Condition(f"{field.name} IS NULL")
        return Condition("row NOT IN (SELECT row FROM facts WHERE key = ?)", (self._key(field),))

    def _member(self, field: Field, values: tuple[Value, ...]) -> Condition:
        texts = tuple(value for value in values if isinstance(value, str))
        numbers = tuple(value for value in values if not isinstance(value, str))
        found = [self._holding(field, "IN", kind) for kind in (texts, numbers) if kind]
        if len(found) == 1:
            return found[0]
        return Condition("(") + found[0] + Condition(" OR ") + found[1] + Condition(")")

    def _holding(self, field: Field, sign: str, values: tuple[Value, ...]) -> Condition:
        """The field's value, of the kind of these values, is in this relation to them."""
        marks = f"({', '.join('?' * len(values))})" if sign == "IN" else "?"
        if field.name not in COLUMNS:
            kind = "text" if isinstance(values[0], str) else "number"
            sql = f"row IN (SELECT row FROM facts WHERE key = ? AND {kind} {sign} {marks})"
            return Condition(sql, (self._key(field), *values))
        if not isinstance(values[0], str):
            raise wrong_filter(
                self._text, field.at, f'{field.name} is a text; compare it with one, as {field.name} = "{values[0]:g}"'
            )
        return Condition(f"({field.name} IS NOT NULL AND {field.name} {sign} {marks})", values)

    def _key(self, field: Field) -> int:
        if field.name not in self._keys:
            known = [*COLUMNS, *sorted(self._keys)]
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            raise wrong_filter(
                self._text, field.at, f"no product has {field.name}; there are {', '.join(known[:_SHOWN])}{more}"
            )
        return self._keys[field.name]
