"""Filters of a search, as `category = "Shoes" and price < 50`: text to a small tree.

    filter    = all ("or" all)*
    all       = one ("and" one)*
    one       = "not" one | "(" filter ")" | condition
    condition = field ("=" | "!=" | "<" | "<=" | ">" | ">=") value
              | field ["not"] "in" "(" value ("," value)* ")"
              | field "is" ["not"] "null"
    field     = a word, as price, or anything in backquotes, as `Main colour`
    value     = a text in single or double quotes, with that quote doubled inside it, or a number

A condition is true or false, never unknown: of a product that lacks the field all are false but `is null`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import NoReturn

from item_embed.errors import FilterError

#: The fields that every product may have; all others are keys of its metadata.
COLUMNS = ("id", "title", "category", "product_id")

#: What a field is compared with: a text, or a number.
Value = str | float

_MOST_VALUES = 1000
_MOST_CONDITIONS = 400  # SQLite reads expressions of a thousand levels; in a hybrid search a condition may take two
_DEEPEST = 30  # SQLite's parser bears about twice that, as `filter_sql` writes it
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')
          |(?P<quoted>`[^`]+`)
          |(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
          |(?P<word>[^\W\d][\w.-]*)
          |(?P<sign>[<>!]=|[=<>(),]))""",
    re.VERBOSE,
)
_KEYWORDS = {"and", "or", "not", "in", "is", "null"}
_OPERATORS = {"=", "!=", "<", "<=", ">", ">="}


@dataclass(frozen=True)
class Field:
    """A field by its name, and where in the filter it stands, from 0."""

    name: str
    at: int = attribute(default=0, compare=False)


@dataclass(frozen=True)
class Comparison:
    """The field has a value for which the operator holds; by code points with a text, as numbers with a number."""

    field: Field
    operator: str
    value: Value


@dataclass(frozen=True)
class Membership:
    """The field equals one of the values."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Missing:
    """The field has no value."""

    field: Field


@dataclass(frozen=True)
class Not:
    """The part is false."""

    part: "Filter"


@dataclass(frozen=True)
class And:
    """All parts are true."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True)
class Or:
    """At least one part is true."""

    parts: tuple["Filter", ...]


Filter = Comparison | Membership | Missing | Not | And | Or


def parse_filter(text: str) -> Filter:
    """Read a filter.

    Args:
        text: the filter, in the grammar above; keywords in any case.

    Raises:
        FilterError: saying what is wrong, and at which letter.

    Examples:
        >>> parse_filter("price < 50")
        Comparison(field=Field(name='price', at=0), operator='<', value=50.0)
    """
    return _Parser(text).whole()


def wrong_filter(text: str, at: int, reason: str) -> FilterError:
    """The error of a filter that is wrong at a letter, counted from 0."""
    place = f"at letter {at + 1} ({text[at : at + 20]!r})" if text[at:].strip() else "at its end"
    return FilterError(f"the filter {text!r} is wrong {place}: {reason}.")


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    at: int


class _Parser:
    """Reads by recursive descent: one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._values = 0
        self._conditions = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._token.kind != "end":
            self._fail("`and`, `or` or the end is expected")
        return found

    def _any(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"parentheses and `not` go deeper than {_DEEPEST}")
        parts = self._joined(self._all, "or")
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Or(parts)

    def _all(self) -> Filter:
        parts = self._joined(self._one, "and")
        return parts[0] if len(parts) == 1 else And(parts)

    def _joined(self, part: Callable[[], Filter], keyword: str) -> tuple[Filter, ...]:
        parts = [part()]
        while self._take(keyword):
            parts.append(part())
        return tuple(parts)

    def _one(self) -> Filter:
        if self._take("not"):
            self._depth += 1
            if self._depth > _DEEPEST:
                self._fail(f"parentheses and `not` go deeper than {_DEEPEST}")
            negated = Not(self._one())
            self._depth -= 1
            return negated
        if self._take("("):
            found = self._any()
            self._expect(")")
            return found
        return self._condition()

    def _condition(self) -> Filter:
        token = self._token
        if token.kind not in {"word", "quoted"}:
            self._fail("a field is expected, as category or `Main colour`")
        self._conditions += 1
        if self._conditions > _MOST_CONDITIONS:
            self._fail(f"a filter has at most {_MOST_CONDITIONS} conditions")
        self._next += 1
        field = Field(token.value, token.at)
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return Not(Missing(field)) if negated else Missing(field)
        negated = self._take("not")
        if self._take("in"):
            found = Membership(field, self._list())
            return Not(found) if negated else found
        operator = self._token.value
        if negated or self._token.kind != "sign" or operator not in _OPERATORS:
            self._fail("`in` is expected" if negated else "one of = != < <= > >=, `in` or `is` is expected")
        self._next += 1
        return Comparison(field, operator, self._value())

    def _list(self) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._token
        if token.kind not in {"text", "number"}:
            self._fail("a text in quotes or a number is expected")
        self._values += 1
        if self._values > _MOST_VALUES:
            self._fail(f"a filter has at most {_MOST_VALUES} values")
        self._next += 1
        return token.value if token.kind == "text" else float(token.value)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, wanted: str) -> bool:
        """Go past a keyword or a sign if it comes next."""
        token = self._token
        taken = token.kind in {"keyword", "sign"} and token.value == wanted
        self._next += taken
        return taken

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            self._fail(f"`{wanted}` is expected")

    def _fail(self, reason: str) -> NoReturn:
        raise wrong_filter(self._text, self._token.at, reason)


def _tokens(text: str) -> list[_Token]:
    """What a filter consists of, with a token `end` at the end."""
    tokens, at, end = list[_Token](), 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise wrong_filter(text, at, "this is no field, text, number or sign, or a quote that is never closed")
        kind = str(match.lastgroup)
        tokens.append(_token(kind, match[kind], match.start(kind), text))
        at = match.end()
    return [*tokens, _Token("end", "", end)]


def _token(kind: str, found: str, at: int, text: str) -> _Token:
    if kind == "word" and found.lower() in _KEYWORDS:
        return _Token("keyword", found.lower(), at)
    if kind == "text":
        found = found[1:-1].replace(found[0] * 2, found[0])
    elif kind == "quoted":
        found = found[1:-1]
    try:
        found.encode()
    except UnicodeEncodeError:
        raise wrong_filter(text, at, "this holds bytes that are no UTF-8") from None
    if kind == "number" and float(found) in {float("inf"), float("-inf")}:
        raise wrong_filter(text, at, "this number is too large")
    return _Token(kind, found, at)
