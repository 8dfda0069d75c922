"""A filter as a condition of PostgreSQL's SQL over the tables of `database.py`."""

from collections.abc import Collection

from psycopg.types.json import Jsonb

from item_embed.search.conditions import Condition, Translator
from item_embed.search.filters import Value, wrong_filter


def condition(text: str, keys: Collection[str], fields: Collection[str] = ()) -> Condition:
    """Translate a filter.

    Args:
        text: the filter, in the grammar of `filters`.
        keys: every key that metadata have.
        fields: the feed's columns, empty ones too.

    Raises:
        FilterError: when the filter cannot be read, names a field that no product has, or compares a text column
            with a number; with the letter where.

    Examples:
        >>> condition("price < 50", {"price"}).sql
        '(jsonb_exists(numbers, %s) AND (numbers ->> %s)::float8 < %s)'
    """
    if "\0" in text:
        raise wrong_filter(text, text.index("\0"), "this is a zero byte, which no text in PostgreSQL holds")
    return _Translator(text, keys, fields).condition()


class _Translator(Translator):
    def column_holds(self, name: str, sign: str, values: tuple[Value, ...]) -> Condition:
        relation = "= ANY(%s)" if sign == "IN" else f"{sign} %s"
        return Condition(f"({name} IS NOT NULL AND {name} {relation})", _bound(sign, values))

    def key_holds(self, key: str, sign: str, values: tuple[Value, ...]) -> Condition:
        column, kind = ("texts", 'text COLLATE "C"') if isinstance(values[0], str) else ("numbers", "float8")
        if sign == "=":  # the form that the index answers
            return Condition(f"{column} @> %s", (Jsonb({key: values[0]}),))
        relation = "= ANY(%s)" if sign == "IN" else f"{sign} %s"
        sql = f"(jsonb_exists({column}, %s) AND ({column} ->> %s)::{kind} {relation})"
        return Condition(sql, (key, key, *_bound(sign, values)))

    def lacks(self, key: str) -> Condition:
        return Condition("NOT jsonb_exists(texts, %s)", (key,))


def _bound(sign: str, values: tuple[Value, ...]) -> tuple[object, ...]:
    return (list(values),) if sign == "IN" else values
