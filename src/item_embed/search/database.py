"""The connection to an index's SQLite file: its tables, its transactions, and its errors as sentences.

    items      a product: its row, id, title, category, product_id, metadata (JSON), the tie key that orders equal
               scores, and a hash of all that it is
    vectors    float32, little-endian, by row
    photos     as they are in a catalogue, by row, with a hash that tells whether one has changed
    facts      what filters compare: of each row every key of its metadata, as a text and, if it is one, as a number
    keys       the numbers of these keys
    titles     full text (FTS5) of `items.title`
    removed    rows that are gone, in the order in which they went, from `state.floor` on
    state      a version that every change raises; the snapshot in use

A row is one version of one product's vector. It is never used again: a changed vector gets a new one. So rows above the
last that a reader saw, and the tail of `removed`, are all that it has to read to be in step.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from item_embed.errors import ItemError, VectorError
from item_embed.files import OutputError

SCHEMA_VERSION = 3  # 1 and 2 were folders of arrays
FILE = "index.sqlite"

#: FULL: what is committed is on the disk.
SYNCHRONOUS = "FULL"

_TABLES = """
CREATE TABLE manifest (content TEXT NOT NULL);
CREATE TABLE state (version INTEGER NOT NULL, snapshot TEXT, floor INTEGER NOT NULL);
INSERT INTO state VALUES (0, NULL, 0);
CREATE TABLE items (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, title TEXT, category TEXT, product_id TEXT,
    metadata TEXT NOT NULL, tie INTEGER NOT NULL, content BLOB NOT NULL
);
CREATE INDEX items_by_category ON items (category);
CREATE INDEX items_by_product ON items (product_id);
CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE photos (row INTEGER PRIMARY KEY, hash INTEGER NOT NULL, photo BLOB NOT NULL);
CREATE TABLE keys (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE facts (
    key INTEGER NOT NULL, text TEXT NOT NULL, number REAL, row INTEGER NOT NULL, PRIMARY KEY (key, text, row)
) WITHOUT ROWID;
CREATE INDEX facts_by_number ON facts (key, number, row) WHERE number IS NOT NULL;
CREATE TABLE removed (number INTEGER PRIMARY KEY AUTOINCREMENT, row INTEGER NOT NULL);
CREATE VIRTUAL TABLE titles USING fts5 (
    title, content = 'items', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER item_added AFTER INSERT ON items BEGIN
    INSERT INTO titles (rowid, title) VALUES (new.row, new.title);
END;
CREATE TRIGGER item_removed AFTER DELETE ON items BEGIN
    INSERT INTO titles (titles, rowid, title) VALUES ('delete', old.row, old.title);
END;
"""
_CACHE_KIB = 64 << 10  # pages kept in memory, so that a hit's place in a large file is found without reading it again
_WAL_BYTES = 64 << 20  # what the write-ahead log is cut to after a large change
_TO_READ, _AS_IT_IS = "?mode=ro", "?mode=ro&immutable=1"


class Connection(sqlite3.Connection):
    """A connection to an index's file; `still` is what a file that was opened as it is looked like, else None."""

    still: tuple[int, ...] | None = None


def create(folder: Path, shown: Path) -> Connection:
    """Make the file of an empty index, for building: fast, and worth nothing if this process dies before the end."""
    with sentences(shown):
        connection = _connect(folder / FILE, 0)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return connection


def connect(folder: Path, timeout: float) -> Connection:
    """Open the file of an index. What is committed through this connection survives a kill and a power cut.

    Where the file or its folder cannot be written, it is opened for reading, and every change is refused. Without a log
    beside it, it is opened as it is, since none can be made: SQLite then does not see what others change, and
    `is_outdated` tells.

    Args:
        folder: the index.
        timeout: how long to wait for another process that writes, seconds.

    Raises:
        VectorError: when the folder is no index, is damaged, or is of another schema version.
    """
    if not (folder / FILE).is_file():
        if (folder / "manifest.json").is_file() and (folder / "vectors.npy").is_file():
            raise _another_version(folder, "2")
        raise VectorError(f"{folder} is not an index: it has no {FILE}; make one with `item index`.")
    with sentences(folder):
        writable, still = _writable(folder), _still(folder)
        connection = _connect(folder / FILE, timeout, "" if writable else _TO_READ if still is None else _AS_IT_IS)
        connection.still = still
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                raise _damaged(folder)
            if version != SCHEMA_VERSION:
                raise _another_version(folder, version)
            if writable:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
                connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection


def is_outdated(connection: Connection, folder: Path) -> bool:
    """Whether a file that was opened as it is has been changed since, or is being changed."""
    return connection.still is not None and connection.still != _still(folder)


@contextmanager
def undisturbed(connection: Connection, folder: Path, shown: Path) -> Iterator[None]:
    """Refuse what is read of a file that was opened as it is while another process changes it.

    Raises:
        OutputError: when it was changed meanwhile: parts of two states may have been read.
    """
    try:
        yield
    except Exception:  # of two states in one anything may come
        if not is_outdated(connection, folder):
            raise
    if is_outdated(connection, folder):
        raise OutputError(f"{shown} was changed by another process while it was read; ask again.")


@contextmanager
def transaction(connection: sqlite3.Connection, shown: Path, *, write: bool) -> Iterator[None]:
    """See one state of the index throughout, or change it: all or nothing.

    Args:
        connection: to the index.
        shown: the index as the user named it.
        write: whether something is to be changed; one process at a time may.

    Raises:
        OutputError: when another process writes for longer than the timeout, the disk is full, or the index may only
            be read.
        VectorError: when the file is damaged.
    """
    with sentences(shown):
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            if write:
                connection.execute("UPDATE state SET version = version + 1")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it already
                connection.execute("ROLLBACK")
            raise


@contextmanager
def sentences(shown: Path) -> Iterator[None]:
    """Turn what SQLite says into a sentence about the index."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):  # of ours, not of the file's
            raise
        raise _sentence(error, shown) from error


def _connect(file: Path, timeout: float, options: str = "") -> Connection:
    address = file.absolute().as_uri() + options
    return sqlite3.connect(
        address, timeout=timeout, isolation_level=None, check_same_thread=False, uri=True, factory=Connection
    )


def _writable(folder: Path) -> bool:
    return os.access(folder / FILE, os.W_OK) and os.access(folder, os.W_OK)


def _still(folder: Path) -> tuple[int, ...] | None:
    """What a file looks like that may only be read and has no log beside it; None for any other."""
    if _writable(folder) or (folder / f"{FILE}-wal").exists():
        return None
    try:
        found = (folder / FILE).stat()
    except OSError:  # gone
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sentence(error: sqlite3.DatabaseError, shown: Path) -> ItemError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return OutputError(f"{shown} is being written by another process; wait for it, or stop it.")
    if code == sqlite3.SQLITE_FULL:
        return OutputError(
            f"{shown} cannot be written, the disk is full; nothing of this change was kept and all that was there "
            "before is whole: free some space and do it again."
        )
    if code == sqlite3.SQLITE_READONLY:
        return OutputError(f"{shown} may only be read; get the right to write it and its folder, or change a copy.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return OutputError(
            f"{shown} cannot be opened; get the right to read it. If it has a {FILE}-wal and no {FILE}-shm, somebody "
            "who may write it has to open it once."
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
        return _damaged(shown)
    return OutputError(f"{shown} cannot be read or written: {error}.")


def _damaged(folder: Path) -> VectorError:
    return VectorError(f"{folder} is damaged or incomplete; build it again with `item index`.")


def _another_version(folder: Path, version: object) -> VectorError:
    return VectorError(
        f"{folder} has schema version {version}, this item-embed reads {SCHEMA_VERSION}; "
        "build it again with `item index`."
    )
