"""The address of an index in a PostgreSQL database, taken apart; nothing of it needs a database's library."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from item_embed.errors import VectorError

_SCHEME = re.compile(r"postgres(ql)?:/", re.IGNORECASE)
_SCHEMA = "item_embed"
_SECONDS = 30.0
_PASSWORDS = ("password", "sslpassword")
# Seconds, the last milliseconds: a server or a network that went without a word is noticed in a minute, not in hours.
_WAITING = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "tcp_user_timeout": "60000"}


@dataclass(frozen=True)
class Address:
    """Where an index is.

    Attributes:
        shown: the address without its password, for messages.
        connection: what is left of it for libpq, password and all.
        schema: the database's schema that holds the index.
        statement_timeout: how long a search may take, seconds; 0 for as long as it takes.
        secrets: the password as it is written and as it is meant; no message may hold it.
    """

    shown: str
    connection: str
    schema: str
    statement_timeout: float
    secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def is_address(path: str | Path) -> bool:
    """Whether an index is in a database rather than in a folder.

    Raises:
        VectorError: when it is a URL that lost a slash, as in a `Path`; what it says holds nothing of it.
    """
    scheme = _SCHEME.match(str(path))
    if scheme and not str(path).startswith("/", scheme.end()):
        raise VectorError(
            "the URL of the index has one slash where it needs two; give it as a text, not as a Path, that begins with "
            "postgresql://."
        )
    return scheme is not None


def read_address(url: str) -> Address:
    """Take the address of an index apart.

    Args:
        url: `postgresql://user@host/database?schema=name`. Beside `schema` (by default `item_embed`) and
            `statement_timeout` (seconds, by default 30) it may have the parameters of libpq, as `connect_timeout`.

    Raises:
        VectorError: when it cannot be read; what it says holds nothing of the address, which may hold a password.

    Examples:
        >>> read_address("postgresql://me:secret@host/shop?schema=shoes").shown
        'postgresql://me@host/shop?schema=shoes'
    """
    try:
        split = urlsplit(url)
        query = {name: value for name, _, value in (part.partition("=") for part in split.query.split("&") if part)}
        schema = unquote(query.pop("schema", _SCHEMA), errors="strict")
        seconds = float(query.pop("statement_timeout", _SECONDS))
        for host in split.netloc.rpartition("@")[2].split(","):  # libpq takes several
            _ = urlsplit(f"//{host}").port  # raises when it is no number
        if not schema or "\0" in schema or not 0 <= seconds < 1e6:
            raise ValueError
    except ValueError:
        raise VectorError(
            "the address of the index cannot be read; write postgresql://user@host:port/database?schema=name, the port "
            "as a number, what is not a-z or 0-9 in a password as %XX, and statement_timeout in seconds."
        ) from None
    open_query = {name: value for name, value in query.items() if name not in _PASSWORDS}
    return Address(
        _with_query(_without_password(split), {**open_query, "schema": quote(schema)}),
        _with_query(split, {**_WAITING, **query}),
        schema,
        seconds,
        _secrets(split, query),
    )


def _secrets(split: SplitResult, query: dict[str, str]) -> frozenset[str]:
    user = split.netloc.rpartition("@")[0]
    written = {user.partition(":")[2], *(query.get(name, "") for name in _PASSWORDS)} - {""}
    return frozenset(written | {unquote(password) for password in written})


def _without_password(split: SplitResult) -> SplitResult:
    user, at, host = split.netloc.rpartition("@")
    return split._replace(netloc=user.partition(":")[0] + at + host)


def _with_query(split: SplitResult, query: dict[str, str]) -> str:
    joined = "&".join(f"{name}={value}" for name, value in query.items())
    return f"{split.scheme}://{split.netloc}{split.path}?{joined}"  # urlunsplit would drop the // before an empty host
