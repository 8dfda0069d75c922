"""Filters as conditions of SQL: what is the same for every store. Every value and name is bound, none becomes text."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

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
    """A condition on rows of `items`, and what is bound to its marks. It is true or false, never null.

    `stack` is how much more of the stack of SQLite's parser it needs than a condition without `and` and `or`.
    """

    sql: str
    bound: tuple[Any, ...] = ()
    stack: int = 0


class Translator(ABC):
    """Translates one filter; a store says what its columns and keys of metadata look like.

    Args:
        text: the filter, in the grammar of `filters`.
        keys: every key that metadata have.
        fields: the feed's columns; of those that are no key it is told that they are empty.
    """

    def __init__(self, text: str, keys: Collection[str], fields: Collection[str]) -> None:
        self._text = text
        self._keys = keys
        self._fields = fields

    def condition(self) -> Condition:
        """The filter as a condition.

        Raises:
            FilterError: when the filter cannot be read, names a field that no product has, or compares a text column
                with a number; with the letter where.
        """
        return self._translate(parse_filter(self._text))

    @abstractmethod
    def column_holds(self, name: str, sign: str, values: tuple[Value, ...]) -> Condition:
        """A column is in this relation to a text, or `IN` several."""

    @abstractmethod
    def key_holds(self, key: str, sign: str, values: tuple[Value, ...]) -> Condition:
        """A key's value is in this relation to a text or number, or `IN` several of one kind."""

    @abstractmethod
    def lacks(self, key: str) -> Condition:
        """A key has no value."""

    def _translate(self, part: Filter, *, negated: bool = False) -> Condition:
        """The part or, negated, its opposite: `not` goes down to the conditions (De Morgan) and so costs no level."""
        match part:
            case Not(opposite):
                return self._translate(opposite, negated=not negated)
            case And(parts):
                return _joined([self._translate(each, negated=negated) for each in parts], "OR" if negated else "AND")
            case Or(parts):
                return _joined([self._translate(each, negated=negated) for each in parts], "AND" if negated else "OR")
            case Missing(field):
                found = self._missing(field)
            case Comparison(field, sign, value):
                found = self._holding(field, sign, (value,))
            case Membership(field, values):
                found = self._member(field, values)
        return Condition(f"NOT {found.sql}", found.bound, found.stack) if negated else found

    def _missing(self, field: Field) -> Condition:
        if field.name in COLUMNS:
            return Condition(f"{field.name} IS NULL")
        return self.lacks(self._known(field))

    def _member(self, field: Field, values: tuple[Value, ...]) -> Condition:
        texts = tuple(value for value in values if isinstance(value, str))
        numbers = tuple(value for value in values if not isinstance(value, str))
        found = [self._holding(field, "IN", kind) for kind in (texts, numbers) if kind]
        return found[0] if len(found) == 1 else _joined(found, "OR")

    def _holding(self, field: Field, sign: str, values: tuple[Value, ...]) -> Condition:
        """The field's value, of the kind of these values, is in this relation to them."""
        if field.name not in COLUMNS:
            return self.key_holds(self._known(field), sign, values)
        if not isinstance(values[0], str):
            raise wrong_filter(
                self._text, field.at, f'{field.name} is a text; compare it with one, as {field.name} = "{values[0]:g}"'
            )
        return self.column_holds(field.name, sign, values)

    def _known(self, field: Field) -> str:
        if field.name not in self._keys:
            known = [*COLUMNS, *sorted(self._keys)]
            there = field.name in self._fields
            why = f"the column {field.name} is empty in every product" if there else f"no product has {field.name}"
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            raise wrong_filter(self._text, field.at, f"{why}; there are {', '.join(known[:_SHOWN])}{more}")
        return field.name


def _joined(conditions: list[Condition], word: str) -> Condition:
    """Joined, the most nested first: SQLite's parser has a stack of a hundred, and there only a `(` waits before it.

    Before a later one wait the `(`, what was read, and the word. So n conditions nested d deep need d + 2 log2(n) + 2.
    """
    ordered = sorted(conditions, key=lambda each: each.stack, reverse=True)
    sql = f" {word} ".join(each.sql for each in ordered)
    bound = tuple(value for each in ordered for value in each.bound)
    return Condition(f"({sql})", bound, 1 + max(ordered[0].stack, 2 + ordered[1].stack))
