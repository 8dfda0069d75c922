"""The truth of an index: products, vectors and photos in SQLite, read and written by row (`database.py`)."""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from item_embed.errors import FilterError
from item_embed.hashing import text_hash
from item_embed.search import database
from item_embed.search.conditions import Condition
from item_embed.search.facts import facts
from item_embed.search.filter_sql import condition
from item_embed.search.items import Changes, Item
from item_embed.search.manifest import IndexManifest
from item_embed.search.records import Record, Seen, json_text, vector_bytes

_PART = 4096  # rows read or asked for at once

#: Rows in ascending order, their ties and their vectors (n, d).
Part = tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]]


@dataclass(frozen=True)
class State:
    """What tells a reader whether it is in step; `removed` is the last number of that table.

    `opened` counts how often the file was opened anew, since what was read before may be of two states.
    """

    version: int
    snapshot: str | None
    floor: int
    removed: int
    opened: int = 0


class Store:
    """An index's SQLite file. What reads belongs between `with store.reading()`, what changes between `writing`.

    Args:
        folder: the index.
        connection: from `database.create` or `database.connect`.
        name: the index as the user named it.
    """

    def __init__(self, folder: Path, connection: database.Connection, name: Path) -> None:
        self.folder = folder
        self.name = name
        self._connection = connection
        self._opened = 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state throughout, whatever others write meanwhile."""
        if database.is_outdated(self._connection, self.folder):
            self._connection.close()
            self._connection = database.connect(self.folder, 0)  # to read: there is nothing to wait for
            self._opened += 1
        with (
            database.undisturbed(self._connection, self.folder, self.name),
            database.transaction(self._connection, self.name, write=False),
        ):
            yield

    def writing(self) -> AbstractContextManager[None]:
        """Change all or nothing; when it ends without an error, all is on the disk."""
        return database.transaction(self._connection, self.name, write=True)

    # What is read

    def manifest(self) -> IndexManifest:
        """Where the vectors come from."""
        found = self._connection.execute("SELECT content FROM manifest").fetchone()
        try:
            return IndexManifest.model_validate_json(found[0] if found else "")
        except ValidationError:
            raise sqlite3.DatabaseError("no manifest") from None

    def state(self) -> State:
        """Whether anything has changed."""
        last = "(SELECT coalesce(max(number), 0) FROM removed)"
        query = f"SELECT version, snapshot, floor, max(floor, {last}) FROM state"
        version, snapshot, floor, removed = self._connection.execute(query).fetchone()
        return State(version, snapshot, floor, removed, self._opened)

    def vectors_after(self, row: int, dimension: int) -> Iterator[Part]:
        """Yield the rows above one, in ascending order, with their ties and vectors (n, d)."""
        query = "SELECT row, tie, vector FROM vectors JOIN items USING (row) WHERE row > ? ORDER BY row"
        cursor = self._connection.execute(query, (row,))
        while part := cursor.fetchmany(_PART):
            rows, ties, blobs = zip(*part, strict=True)
            yield np.array(rows, np.int64), np.array(ties, np.uint64), _matrix(blobs, dimension)

    def removed_after(self, number: int) -> NDArray[np.int64]:
        """The rows that went after so many had gone."""
        return self._rows("SELECT row FROM removed WHERE number > ?", (number,))

    def rows_where(self, where: Condition) -> NDArray[np.int64]:
        """The rows for which a condition holds, in ascending order."""
        return self._rows(f"SELECT row FROM items WHERE {where.sql} ORDER BY row", where.bound)

    def rows_by_title(self, title: str, limit: int, where: Condition | None) -> NDArray[np.int64]:
        """The rows whose titles share words with a title, best first: by BM25 of FTS5, equal ones by tie key.

        Args:
            title: words; what else is in it counts for nothing.
            limit: how many rows at most.
            where: what else must hold.
        """
        title = title.replace("\0", " ").encode(errors="ignore").decode()  # as SQLite takes it
        words = " OR ".join('"' + word.replace('"', '""') + '"' for word in title.split())
        if not words:
            return np.empty(0, np.int64)
        more = f"AND titles.rowid IN (SELECT row FROM items WHERE {where.sql})" if where else ""
        query = (
            "SELECT items.row FROM titles JOIN items ON items.row = titles.rowid "
            f"WHERE titles MATCH ? {more} ORDER BY bm25(titles), items.tie LIMIT ?"
        )
        return self._rows(query, (words, *(where.bound if where else ()), limit))

    def condition(self, text: str, fields: Collection[str] = ()) -> Condition:
        """A filter as a condition on rows.

        Args:
            text: the filter.
            fields: the feed's columns, empty ones too.

        Raises:
            FilterError: when it cannot be read, names what no product has ever had, or is too much for SQLite.
        """
        where = condition(text, self._keys(), fields)
        among = f"titles MATCH 'x' AND titles.rowid IN (SELECT row FROM items WHERE {where.sql})"  # as `rows_by_title`
        try:
            self._connection.execute(f"EXPLAIN SELECT row FROM titles JOIN items WHERE {among}", where.bound).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise FilterError(f"the filter {text!r} is too much for SQLite ({error}); make it simpler.") from error
        return where

    def shown(self, rows: Collection[int]) -> dict[int, dict[str, Any]]:
        """What a hit shows of some rows, but for its score, by row."""
        columns = "row, id, title, category, product_id, metadata"
        found = list(self._of("row", list(rows), columns))
        metadata = json.loads(f"[{','.join(values[-1] for values in found)}]")  # at once: a third of the time
        return {
            row: {"id": key, "title": title, "category": category, "product_id": product, "metadata": fields}
            for (row, key, title, category, product, _), fields in zip(found, metadata, strict=True)
        }

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Whole products, by id; those that are not there are left out."""
        columns = "id, title, category, product_id, metadata, photo"
        found = self._of("id", ids, columns, "items LEFT JOIN photos USING (row)")
        return {
            key: Item(key, title, category, product, json.loads(metadata), photo)
            for key, title, category, product, metadata, photo in found
        }

    def items_without_photos(self, ids: Sequence[str]) -> dict[str, tuple[Item, bool]]:
        """Products by id, each with whether it has a photo: that is not read. Those that are not there are left out."""
        columns = "id, title, category, product_id, metadata, photos.row IS NOT NULL"
        found = self._of("id", ids, columns, "items LEFT JOIN photos USING (row)")
        return {
            key: (Item(key, title, category, product, json.loads(metadata)), bool(pictured))
            for key, title, category, product, metadata, pictured in found
        }

    def photo(self, key: str) -> bytes | None:
        """The photo of the product with an id, or None."""
        query = "SELECT photo FROM items JOIN photos USING (row) WHERE id = ?"
        found = self._connection.execute(query, (key,)).fetchone()
        return found[0] if found else None

    def ids(self) -> list[str]:
        """The ids of all products."""
        return [key for (key,) in self._connection.execute("SELECT id FROM items")]

    def seen(self, ids: Sequence[str]) -> dict[str, Seen]:
        """The vectors of products with what they were made of, by id; those that are not there are left out."""
        found = self._of(
            "id", ids, "id, title, hash, vector", "items JOIN vectors USING (row) LEFT JOIN photos USING (row)"
        )
        return {key: Seen(title, photo, np.frombuffer(vector, "<f4")) for key, title, photo, vector in found}

    def scan(self, block: int, dimension: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield ids and vectors (b, d) by row, all of one state, through a connection of its own."""
        with (
            database.sentences(self.name),
            closing(database.connect(self.folder, 0)) as connection,
            database.undisturbed(connection, self.folder, self.name),
        ):
            cursor = connection.execute("SELECT id, vector FROM vectors JOIN items USING (row) ORDER BY row")
            while part := cursor.fetchmany(block):
                ids, blobs = zip(*part, strict=True)
                yield list(ids), _matrix(blobs, dimension)

    # What is written

    def write_manifest(self, manifest: IndexManifest) -> None:
        """Say where the vectors come from."""
        self._connection.execute("DELETE FROM manifest")
        self._connection.execute("INSERT INTO manifest VALUES (?)", (manifest.model_dump_json(),))

    def use_snapshot(self, name: str | None, floor: int) -> None:
        """Let readers use another snapshot, and forget the rows that went before it was begun."""
        self._connection.execute("UPDATE state SET snapshot = ?, floor = ?", (name, floor))
        self._connection.execute("DELETE FROM removed WHERE number <= ?", (floor,))

    def put(self, records: Sequence[Record], photos: Callable[[list[int]], Sequence[bytes | None]]) -> Changes:
        """Add products, or replace those of the same ids; what is there already as it should be is not written.

        Args:
            records: products of different ids.
            photos: gives the photos of some of them, by their places in `records`: of those that have changed.
        """
        known = {
            key: (row, content) for key, row, content in self._of("id", [r.id for r in records], "id, row, content")
        }
        keys = self._keys()
        added = changed = 0
        pictured: dict[int, int] = {}  # place -> row
        for place, record in enumerate(records):
            content = record.content()
            old, was = known.get(record.id, (None, None))
            if content == was:
                continue
            added, changed = added + (old is None), changed + (old is not None)
            row = self._replace(old, record, content, keys)
            if self._photo_hash(row) != record.photo_hash:
                self._connection.execute("DELETE FROM photos WHERE row = ?", (row,))
                if record.photo_hash is not None:
                    pictured[place] = row
        for place, photo in zip(pictured, photos(list(pictured)) if pictured else (), strict=True):
            values = (pictured[place], records[place].photo_hash, photo)
            self._connection.execute("INSERT INTO photos VALUES (?, ?, ?)", values)
        return Changes(added, changed, unchanged=len(records) - added - changed)

    def remove(self, ids: Sequence[str]) -> Changes:
        """Remove products; ids that are not there are left alone."""
        rows = [row for (row,) in self._of("id", ids, "row")]
        keys = self._keys()
        for row in rows:
            self._forget(row, keys)
            self._connection.execute("DELETE FROM photos WHERE row = ?", (row,))
            self._mark_removed(row)
        return Changes(removed=len(rows))

    def _replace(self, old: int | None, record: Record, content: bytes, keys: dict[str, int]) -> int:
        """Write a product; its row stays if its vector does."""
        vector, row = vector_bytes(record.vector), old
        if old is not None:
            (before,) = self._connection.execute("SELECT vector FROM vectors WHERE row = ?", (old,)).fetchone()
            row = old if before == vector else None
            self._forget(old, keys)
        tie = text_hash(record.id)
        texts = (record.id, record.title, record.category, record.product_id, json_text(record.metadata))
        values = (row, *texts, tie, content)
        written = self._connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values).lastrowid
        assert written is not None
        self._connection.execute("INSERT INTO vectors VALUES (?, ?)", (written, vector))
        found = [(self._key(name, keys), text, number, written) for name, text, number in facts(record.metadata)]
        self._connection.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", found)
        if old not in {None, written}:
            self._connection.execute("UPDATE photos SET row = ? WHERE row = ?", (written, old))
            self._mark_removed(old)
        return written

    def _forget(self, row: int, keys: Mapping[str, int]) -> None:
        """Delete all of a row but its photo."""
        (metadata,) = self._connection.execute("SELECT metadata FROM items WHERE row = ?", (row,)).fetchone()
        found = [(keys[name], text, row) for name, text, _ in facts(json.loads(metadata))]
        self._connection.executemany("DELETE FROM facts WHERE key = ? AND text = ? AND row = ?", found)
        self._connection.execute("DELETE FROM vectors WHERE row = ?", (row,))
        self._connection.execute("DELETE FROM items WHERE row = ?", (row,))

    def _mark_removed(self, row: int | None) -> None:
        self._connection.execute("INSERT INTO removed (row) VALUES (?)", (row,))

    def _photo_hash(self, row: int) -> int | None:
        found = self._connection.execute("SELECT hash FROM photos WHERE row = ?", (row,)).fetchone()
        return found[0] if found else None

    def _keys(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT name, number FROM keys"))

    def _key(self, name: str, keys: dict[str, int]) -> int:
        if name not in keys:
            keys[name] = int(self._connection.execute("INSERT INTO keys (name) VALUES (?)", (name,)).lastrowid or 0)
        return keys[name]

    def _rows(self, query: str, bound: Sequence[Any]) -> NDArray[np.int64]:
        return np.fromiter((row for (row,) in self._connection.execute(query, bound)), np.int64)

    def _of(self, column: str, values: Sequence[Any], shown: str, table: str = "items") -> Iterator[tuple[Any, ...]]:
        """Yield some columns of the rows that have one of these values, in no order."""
        for start in range(0, len(values), _PART):
            part = values[start : start + _PART]
            marks = ", ".join("?" * len(part))
            yield from self._connection.execute(f"SELECT {shown} FROM {table} WHERE {column} IN ({marks})", part)


def _matrix(blobs: Sequence[bytes], dimension: int) -> NDArray[np.float32]:
    """Vectors (n, d); one of another length is damage."""
    if any(len(blob) != 4 * dimension for blob in blobs):
        raise sqlite3.DatabaseError("a vector of another dimension")
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), dimension)
