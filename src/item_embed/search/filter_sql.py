"""A filter as a condition of SQLite's SQL over the tables of `database.py`."""

from collections.abc import Collection, Mapping

from item_embed.search.conditions import Condition, Translator
from item_embed.search.filters import Value


def condition(text: str, keys: Mapping[str, int], fields: Collection[str] = ()) -> Condition:
    """Translate a filter.

    Args:
        text: the filter, in the grammar of `filters`.
        keys: the number of every key that metadata have, as in `facts.key`.
        fields: the feed's columns, empty ones too.

    Raises:
        FilterError: when the filter cannot be read, names a field that no product has ever had, or compares a
            text column with a number; with the letter where.

    Examples:
        >>> condition("price < 50", {"price": 3})
        Condition(sql='row IN (SELECT row FROM facts WHERE key = ? AND number < ?)', bound=(3, 50.0))
    """
    return _Translator(text, keys, fields).condition()


class _Translator(Translator):
    def __init__(self, text: str, keys: Mapping[str, int], fields: Collection[str]) -> None:
        super().__init__(text, keys, fields)
        self._numbers = keys

    def column_holds(self, name: str, sign: str, values: tuple[Value, ...]) -> Condition:
        return Condition(f"({name} IS NOT NULL AND {name} {sign} {_marks(sign, values)})", values)

    def key_holds(self, key: str, sign: str, values: tuple[Value, ...]) -> Condition:
        kind = "text" if isinstance(values[0], str) else "number"
        sql = f"row IN (SELECT row FROM facts WHERE key = ? AND {kind} {sign} {_marks(sign, values)})"
        return Condition(sql, (self._numbers[key], *values))

    def lacks(self, key: str) -> Condition:
        return Condition("row NOT IN (SELECT row FROM facts WHERE key = ?)", (self._numbers[key],))


def _marks(sign: str, values: tuple[Value, ...]) -> str:
    return f"({', '.join('?' * len(values))})" if sign == "IN" else "?"
