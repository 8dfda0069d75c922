"""The connection to an index's PostgreSQL schema: its tables, its transactions, and its errors as sentences.

    manifest   one row: schema version, where the vectors come from, whether all is loaded, how many products and words
               of titles there are, and whether there is a graph
    items      a product: its number, id, title, category, product_id, metadata, the tie key that orders equal scores,
               a hash of all that it is, its vector, and of its metadata and title what filters and words look for
    photos     as they are in a catalogue, by id, with a hash that tells whether one has changed
    keys       every key that metadata had

`texts` and `numbers` are what filters compare (`facts.py`): every key of the metadata with its text and, if it is one,
its number. Texts are compared by code points (`COLLATE "C"`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import psycopg
from pgvector.psycopg import register_vector
from psycopg import errors
from psycopg.sql import SQL, Composed, Identifier

from item_embed.errors import ItemError, VectorError
from item_embed.files import OutputError
from item_embed.search.address import Address
from item_embed.search.postgres.waiting import WatchedConnection

SCHEMA_VERSION = 1

_TRIES, _BETWEEN = 10, 0.1  # of a lock that another holds, and the seconds between them

_TABLES = """
CREATE TABLE manifest (
    version integer NOT NULL, content text NOT NULL, whole boolean NOT NULL DEFAULT false,
    products bigint NOT NULL DEFAULT 0, words bigint NOT NULL DEFAULT 0, graph boolean NOT NULL DEFAULT false
);
CREATE TABLE items (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE,
    title text COLLATE "C", category text COLLATE "C", product_id text COLLATE "C", metadata json NOT NULL,
    tie bigint NOT NULL, content bytea NOT NULL, texts jsonb NOT NULL, numbers jsonb NOT NULL,
    words text[] COLLATE "C" NOT NULL, vector vector({dimension}) NOT NULL
);
CREATE INDEX items_by_category ON items USING hash (category);
CREATE INDEX items_by_product ON items USING hash (product_id);
CREATE INDEX items_by_text ON items USING gin (texts jsonb_path_ops);
CREATE INDEX items_by_number ON items USING gin (numbers jsonb_path_ops);
CREATE INDEX items_by_word ON items USING gin (words);
CREATE TABLE photos (id text COLLATE "C" PRIMARY KEY, hash bigint NOT NULL, photo bytea NOT NULL);
CREATE TABLE keys (name text COLLATE "C" PRIMARY KEY);
"""
# The index's schema, then pgvector's, which may be any, before what the path has: it may lack both.
_PATH = """
set_config('search_path', concat_ws(', ', quote_ident(%s), (
    SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS home ON home.oid = extnamespace
    WHERE extname = 'vector'
), nullif(current_setting('search_path'), '')), true)
"""
_HOME = "public"  # pgvector's schema where there is none yet; an index's would take it along when it is dropped
_PGVECTOR = (0, 8)  # the first whose graph goes on looking when a filter leaves too little


class Database:
    """A connection that is made when it is needed, and made anew when it was lost.

    Args:
        address: where the index is.
        timeout: how long a change waits for another process that writes, seconds.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address
        self._timeout = timeout
        self._connection: WatchedConnection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """See one state of the index throughout, or change it: all or nothing.

        Raises:
            OutputError: when the database cannot be reached, refuses, is slow, or its disk is full.
            VectorError: when something of the index is missing.
        """
        with sentences(self.address):
            connection = self._connected()
            connection.limit = None if write else self._limit
            level = psycopg.IsolationLevel.READ_COMMITTED if write else psycopg.IsolationLevel.REPEATABLE_READ
            if connection.isolation_level != level or connection.read_only == write:
                connection.isolation_level, connection.read_only = level, not write
            with connection.transaction():
                lock = max(1, round(1000 * self._timeout))
                statement = 0 if write else round(1000 * self.address.statement_timeout)
                connection.execute(
                    f"SELECT {_PATH}, set_config('lock_timeout', %s, true), "
                    "set_config('statement_timeout', %s, true)".encode(),
                    [self.address.schema, str(lock), str(statement)],
                )
                yield connection

    def execute(self, query: bytes | SQL | Composed, bound: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute a statement of the transaction that was begun; what is found is read in binary form."""
        assert self._connection is not None
        return self._connection.cursor(binary=True).execute(query, bound)

    def copy(self, table: str, columns: dict[str, str], rows: Iterator[Sequence[Any]]) -> None:
        """Write rows into a table by COPY.

        Args:
            table: the table.
            columns: the type of each column.
            rows: the values of each row.
        """
        assert self._connection is not None
        names = SQL(", ").join(map(Identifier, columns))
        query = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(Identifier(table), names)
        with self._connection.cursor().copy(query) as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)

    def alone(self) -> bool:
        """Whether this connection, as long as it lasts, is the only one that asked to load this index."""
        name = f"item-embed {self.address.schema}"
        query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
        with sentences(self.address):
            for tried in range(_TRIES):  # one that has just gone is in the server's books a moment longer
                if self._connected().execute(query, [name]).fetchone() == (True,):
                    return True
                if tried < _TRIES - 1:
                    time.sleep(_BETWEEN)
        return False

    def tables(self) -> set[str]:
        """The tables in the index's schema."""
        query = b"SELECT tablename::text FROM pg_tables WHERE schemaname = %s"
        return {name for (name,) in self.execute(query, [self.address.schema])}

    def create(self, dimension: int) -> None:
        """Make the tables of an index, and its schema and pgvector if they lack; to be called while it is written.

        Raises:
            OutputError: when pgvector cannot be made or is too old.
        """
        # Extensions are the whole database's: of two loads that begin at once one would fail to make it.
        self.execute(b"SELECT pg_advisory_xact_lock(hashtextextended('item-embed', 0))")
        # IF NOT EXISTS alone would ask for the right to make even a schema that is there.
        if not self._has("pg_extension WHERE extname = %s", "vector"):
            if not self._has("pg_namespace WHERE nspname = %s", _HOME):
                raise OutputError(
                    f"{self.address.shown} has neither pgvector nor a schema {_HOME} for it; run CREATE EXTENSION "
                    "vector SCHEMA with one of yours."
                )
            self.execute(SQL("CREATE EXTENSION IF NOT EXISTS vector SCHEMA {}").format(Identifier(_HOME)))
        if not self._has("pg_namespace WHERE nspname = %s", self.address.schema):
            self.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(self.address.schema)))
        self._meet_pgvector(self._connected())
        for statement in _TABLES.format(dimension=dimension).split(";"):
            if statement.strip():
                self.execute(statement.encode())

    def drop(self) -> None:
        """Remove the tables of an index; to be called while it is written."""
        self.execute(b"DROP TABLE manifest, items, photos, keys")

    def _has(self, where: str, name: str) -> bool:
        return self.execute(f"SELECT FROM {where}".encode(), [name]).fetchone() is not None

    @property
    def _limit(self) -> float | None:
        return self.address.statement_timeout or None

    def _connected(self) -> WatchedConnection:
        if self._connection is None or self._connection.closed:
            # Statements are not kept prepared: the best plan of a search depends on its filter's values.
            connection = WatchedConnection.connect(self.address.connection, autocommit=True, prepare_threshold=None)
            connection.limit = self._limit
            finalize(self, connection.close)  # an index may be let go without being closed
            with connection.transaction():
                self._meet_pgvector(connection)
            self._connection = connection
        return self._connection

    def _meet_pgvector(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Put pgvector on the path of a transaction, and let vectors be read and written; nothing if there is none."""
        connection.execute(f"SELECT {_PATH}".encode(), [self.address.schema])
        # The cast says which schema this user may not look into; the path would pass over it in silence.
        found = connection.execute(
            "SELECT extversion, format('%I.vector', nspname)::regtype "
            "FROM pg_extension JOIN pg_namespace AS home ON home.oid = extnamespace WHERE extname = 'vector'"
        ).fetchone()
        if found is None:
            return
        if tuple(map(int, found[0].split(".")[:2])) < _PGVECTOR:
            raise OutputError(
                f"{self.address.shown} has pgvector {found[0]} and needs {'.'.join(map(str, _PGVECTOR))} or newer; "
                "install it on the server, then ALTER EXTENSION vector UPDATE."
            )
        register_vector(connection)


@contextmanager
def sentences(address: Address) -> Iterator[None]:
    """Turn what PostgreSQL and libpq say into a sentence about the index, without its password."""
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error, errors.SyntaxError):  # of ours, not of the database's
            raise
        # The cause is left out: what libpq says of an address may hold all of it.
        raise _sentence(error, address) from None


# What was said, and the sentence about it, the first that fits; the mend is the user's.
_SENTENCES: tuple[tuple[tuple[type[psycopg.Error], ...], type[ItemError], str], ...] = (
    ((errors.LockNotAvailable,), OutputError, "{shown} is being written by another process; wait for it, or stop it."),
    (
        (errors.QueryCanceled,),
        OutputError,
        "{shown} did not answer within {seconds:g} s; ask again, or allow more by statement_timeout=SECONDS in the "
        "address.",
    ),
    (
        (errors.DiskFull,),
        OutputError,
        "{shown} cannot be written, its disk is full; nothing of this change was kept and all that was there before is "
        "whole: free some space and do it again.",
    ),
    (
        (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName),
        VectorError,
        "{shown} is damaged or incomplete ({reason}); drop its schema and build it again with `item index`.",
    ),
    (
        (errors.InsufficientPrivilege,),
        OutputError,
        "{shown} refuses this user ({reason}); ask the database's owner to grant it.",
    ),
    (
        # A constraint of the user's own, or two processes that made the same thing at once.
        (errors.IntegrityError,),
        OutputError,
        "{shown} refuses this change ({reason}), and nothing of it was kept; do it again, and if it is refused again, "
        "mend what that constraint forbids.",
    ),
    (
        (errors.UndefinedFile, errors.FeatureNotSupported),
        OutputError,
        "{shown} needs the extension pgvector ({reason}); install it on the server.",
    ),
)
_UNREACHABLE = (
    "{shown} cannot be reached ({reason}); check that the server runs, the address, and the password in it, in "
    "PGPASSWORD or in ~/.pgpass."
)
_CONNECTIONS = ("08", "28", "3D", "57")  # classes of SQLSTATE: lost, refused, no such database, server shut down


def _sentence(error: psycopg.Error, address: Address) -> ItemError:
    words = {"shown": address.shown, "reason": _reason(error, address), "seconds": address.statement_timeout}
    for said, kind, sentence in _SENTENCES:
        if isinstance(error, said):
            return kind(sentence.format(**words))
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(_CONNECTIONS):
        return OutputError(_UNREACHABLE.format(**words))
    return OutputError("{shown} cannot be read or written: {reason}.".format(**words))


def _reason(error: psycopg.Error, address: Address) -> str:
    """The last line of what was said: where several hosts were tried each has one."""
    said = error.diag.message_primary or ([line for line in str(error).splitlines() if line.strip()] or ["?"])[-1]
    for secret in address.secrets:
        said = said.replace(secret, "...")
    return said.strip().rstrip(".")
