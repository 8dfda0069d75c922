"""The truth of an index in PostgreSQL: products, vectors and photos, read and written by number (`database.py`)."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from pydantic import ValidationError

from item_embed.errors import VectorError
from item_embed.files import OutputError
from item_embed.hashing import text_hash
from item_embed.search.conditions import Condition
from item_embed.search.facts import facts
from item_embed.search.items import Changes, Item
from item_embed.search.manifest import IndexManifest
from item_embed.search.postgres.conditions import condition
from item_embed.search.postgres.database import SCHEMA_VERSION, Database
from item_embed.search.postgres.words import ranking, words_of
from item_embed.search.records import Record, Seen

_ITEM = {
    "id": "text",
    "title": "text",
    "category": "text",
    "product_id": "text",
    "metadata": "json",
    "tie": "int8",
    "content": "bytea",
    "texts": "jsonb",
    "numbers": "jsonb",
    "words": "text[]",
    "vector": "vector",
}
_PHOTO = {"id": "text", "hash": "int8", "photo": "bytea"}


class PostgresStore:
    """An index's tables. What reads belongs between `with store.reading()`, what changes between `writing`.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.name = database.address.shown

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state throughout, whatever others write meanwhile."""
        with self.database.transaction(write=False):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change all or nothing, one process at a time; when it ends without an error, all is on the disk."""
        with self.database.transaction(write=True):
            self._execute("SELECT FROM manifest FOR UPDATE")
            yield

    # What is read

    def check(self) -> None:
        """Refuse what is no index of ours, or not a whole one.

        Raises:
            VectorError: saying which, and the mend.
        """
        if "manifest" not in self.database.tables():
            raise VectorError(f"{self.name} is not an index: it has no table manifest; make one with `item index`.")
        if not self.loaded():
            raise VectorError(
                f"{self.name} is half loaded; run the same `item index` again, which goes on where it was."
            )

    def loaded(self) -> bool:
        """Whether all of the index is loaded.

        Raises:
            VectorError: when it is of another schema version.
        """
        version, whole = self._execute("SELECT version, whole FROM manifest").fetchone() or (None, False)
        if version != SCHEMA_VERSION:
            raise VectorError(
                f"{self.name} has schema version {version}, this item-embed reads {SCHEMA_VERSION}; drop its schema "
                "and build it again with `item index`."
            )
        return bool(whole)

    def manifest(self) -> IndexManifest:
        """Where the vectors come from."""
        (content,) = self._execute("SELECT content FROM manifest").fetchone() or ("",)
        try:
            return IndexManifest.model_validate_json(content)
        except ValidationError:
            raise VectorError(
                f"{self.name} is damaged: it does not say where its vectors come from; build it again."
            ) from None

    def condition(self, text: str, fields: Collection[str] = ()) -> Condition:
        """A filter as a condition on `items`.

        Args:
            text: the filter.
            fields: the feed's columns, empty ones too.

        Raises:
            FilterError: when it cannot be read, or names what no product has ever had.
        """
        return condition(text, {key for (key,) in self._execute("SELECT name FROM keys")}, fields)

    def rows_by_title(self, title: str, limit: int, where: Condition | None) -> NDArray[np.int64]:
        """The numbers of products whose titles share words with a title, best first: by BM25, equal ones by tie key."""
        query = ranking(title, limit, where)
        return np.fromiter((row for (row,) in self._execute(query.sql, query.bound)), np.int64)

    def shown(self, rows: Collection[int]) -> dict[int, dict[str, Any]]:
        """What a hit shows of some products, but for its score, by number."""
        names = ("id", "title", "category", "product_id", "metadata")
        query = f"SELECT number, {', '.join(names)} FROM items WHERE number = ANY(%s)"
        return {row: dict(zip(names, values, strict=True)) for row, *values in self._execute(query, [list(rows)])}

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Whole products, by id; those that are not there are left out."""
        query = (
            "SELECT id, title, category, product_id, metadata, photo FROM items LEFT JOIN photos USING (id) "
            "WHERE id = ANY(%s)"
        )
        return {values[0]: Item(*values) for values in self._execute(query, [_storable(ids)])}

    def items_without_photos(self, ids: Sequence[str]) -> dict[str, tuple[Item, bool]]:
        """Products by id, each with whether it has a photo: that is not read. Those that are not there are left out."""
        query = (
            "SELECT id, title, category, product_id, metadata, photos.id IS NOT NULL "
            "FROM items LEFT JOIN photos USING (id) WHERE id = ANY(%s)"
        )
        return {values[0]: (Item(*values), pictured) for *values, pictured in self._execute(query, [_storable(ids)])}

    def photo(self, key: str) -> bytes | None:
        """The photo of the product with an id, or None."""
        found = self._execute("SELECT photo FROM photos WHERE id = ANY(%s)", [_storable([key])]).fetchone()
        return found[0] if found else None

    def ids(self) -> list[str]:
        """The ids of all products."""
        return [key for (key,) in self._execute("SELECT id FROM items")]

    def seen(self, ids: Sequence[str]) -> dict[str, Seen]:
        """The vectors of products with what they were made of, by id; those that are not there are left out."""
        query = "SELECT id, title, hash, vector FROM items LEFT JOIN photos USING (id) WHERE id = ANY(%s)"
        found = self._execute(query, [_storable(ids)])
        return {
            key: Seen(title, photo, np.asarray(vector.to_numpy(), np.float32)) for key, title, photo, vector in found
        }

    def scan(self, block: int, dimension: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield ids and vectors (b, d) by number, all of one state, through a connection and a cursor of its own."""
        with (
            closing(Database(self.database.address, 0)) as alone,
            alone.transaction(write=False) as connection,
            connection.cursor("scan", binary=True) as cursor,
        ):
            cursor.execute("SELECT id, vector FROM items ORDER BY number")
            while part := cursor.fetchmany(block):
                ids, vectors = zip(*part, strict=True)
                yield list(ids), matrix(vectors, dimension)

    # What is written

    def begin(self, manifest: IndexManifest) -> None:
        """Make the tables, unless a load of the same that ended early has left them.

        Raises:
            OutputError: when there is an index, or there are tables that are not ours.
            VectorError: when there is an index of another schema version.
        """
        with self.database.transaction(write=True):
            tables = self.database.tables()
            if "manifest" in tables:
                if self.loaded():
                    raise OutputError(
                        f"--out {self.name} exists already; name another schema, bring it up to date with --update, or "
                        "drop it first."
                    )
                if self.manifest() == manifest:
                    return
                self.database.drop()
            elif tables:
                raise OutputError(
                    f"--out {self.name} has tables that are no index's ({', '.join(sorted(tables)[:3])}); name another "
                    "schema."
                )
            self.database.create(manifest.dimension)
            values = [SCHEMA_VERSION, manifest.model_dump_json()]
            self._execute("INSERT INTO manifest (version, content) VALUES (%s, %s)", values)

    def finish(self) -> None:
        """Say that all is loaded."""
        self._execute("ANALYZE items")
        self._execute("UPDATE manifest SET whole = true")

    def write_manifest(self, manifest: IndexManifest) -> None:
        """Say where the vectors come from."""
        self._execute("UPDATE manifest SET content = %s", [manifest.model_dump_json()])

    def put(self, records: Sequence[Record], photos: Callable[[list[int]], Sequence[bytes | None]]) -> Changes:
        """Add products, or replace those of the same ids; what is there already as it should be is not written.

        Args:
            records: products of different ids.
            photos: gives the photos of some of them, by their places in `records`: of those that have changed.

        Raises:
            VectorError: when PostgreSQL cannot store a product.
        """
        rows = [_row(record) for record in records]
        ids = [record.id for record in records]
        known = dict(self._execute("SELECT id, content FROM items WHERE id = ANY(%s)", [ids]))
        places = [place for place, record in enumerate(records) if known.get(record.id) != record.content()]
        changed = [records[place].id for place in places if records[place].id in known]
        self._delete(changed)
        self.database.copy("items", _ITEM, (rows[place] for place in places))
        self._execute(
            "INSERT INTO keys SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [sorted({key for place in places for key, _, _ in facts(records[place].metadata)})],
        )
        self._count(len(places), sum(len(words_of(records[place].title)) for place in places))
        self._put_photos(records, places, photos)
        return Changes(len(places) - len(changed), len(changed), unchanged=len(records) - len(places))

    def remove(self, ids: Sequence[str]) -> Changes:
        """Remove products; ids that are not there are left alone."""
        ids = _storable(ids)
        self._execute("DELETE FROM photos WHERE id = ANY(%s)", [ids])
        return Changes(removed=self._delete(ids))

    def _put_photos(
        self, records: Sequence[Record], places: list[int], photos: Callable[[list[int]], Sequence[bytes | None]]
    ) -> None:
        ids = [records[place].id for place in places]
        known = dict(self._execute("SELECT id, hash FROM photos WHERE id = ANY(%s)", [ids]))
        places = [place for place in places if known.get(records[place].id) != records[place].photo_hash]
        self._execute("DELETE FROM photos WHERE id = ANY(%s)", [[records[place].id for place in places]])
        places = [place for place in places if records[place].photo_hash is not None]
        if places:
            found = zip(places, photos(places), strict=True)
            rows = ((records[place].id, records[place].photo_hash, photo) for place, photo in found)
            self.database.copy("photos", _PHOTO, rows)

    def _delete(self, ids: Sequence[str]) -> int:
        query = "DELETE FROM items WHERE id = ANY(%s) RETURNING cardinality(words)"
        words = [count for (count,) in self._execute(query, [list(ids)])]
        self._count(-len(words), -sum(words))
        return len(words)

    def _count(self, products: int, words: int) -> None:
        if products:
            self._execute("UPDATE manifest SET products = products + %s, words = words + %s", [products, words])

    def _execute(self, query: str, bound: Sequence[Any] = ()) -> Any:
        return self.database.execute(query.encode(), bound)


def matrix(vectors: Sequence[Vector], dimension: int) -> NDArray[np.float32]:
    """Vectors as they were read, as an array (n, d)."""
    return np.array([vector.to_numpy() for vector in vectors], np.float32).reshape(len(vectors), dimension)


def _row(record: Record) -> tuple[Any, ...]:
    """A product's values, in the order of `_ITEM`."""
    found = list(facts(record.metadata))
    texts, numbers = {key: text for key, text, _ in found}, {key: n for key, _, n in found if n is not None}
    columns = (record.id, record.title, record.category, record.product_id)
    if any("\0" in text for text in (*columns, *texts, *texts.values()) if text):
        raise VectorError(
            f"the product {record.id!r} has a zero byte in a text, which PostgreSQL cannot store; remove it."
        )
    try:
        json.dumps(dict(record.metadata), allow_nan=False)
    except ValueError:
        raise VectorError(
            f"the metadata of the product {record.id!r} hold a number that is not finite, which PostgreSQL cannot "
            "store; remove it."
        ) from None
    return (
        *columns,
        dict(record.metadata),
        text_hash(record.id),
        record.content(),
        texts,
        numbers,
        words_of(record.title),
        Vector(record.vector),
    )


def _storable(ids: Sequence[str]) -> list[str]:
    """The ids that a product can have: PostgreSQL has no texts with zero bytes."""
    return [key for key in ids if "\0" not in key]
