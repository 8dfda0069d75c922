"""`ProductIndex`: products and their vectors, searched by vector, by filter and by words.

They are in one folder (`embedded.py`) or in a PostgreSQL database (`postgres/`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import Vectors
from item_embed.errors import VectorError
from item_embed.progress import OnProgress, silent
from item_embed.remote.urls import refuse_url
from item_embed.search.address import is_address
from item_embed.search.backend import Neighbours, Truth
from item_embed.search.embedded import build_folder, open_folder
from item_embed.search.feed import CatalogFeed, unseen
from item_embed.search.fusion import DEPTH, best_by_both
from item_embed.search.items import Changes, Hit, Item, sayable
from item_embed.search.records import records_of

if TYPE_CHECKING:  # the embedder brings torch, which a search by vector does not need
    from item_embed.embedding.embedder import Embedder


class ProductIndex:
    """Products that can be found by vector; `build` makes an index on disk, `open` opens one.

    Several processes may search while one changes it. What a change says it did survives whatever happens next, and is
    seen by the next search of everybody. One object may be used by several threads, one at a time.

    Args:
        path: what `build` wrote: a folder, or the URL `postgresql://user@host/database?schema=name`.
        timeout: how long a change waits for another process that writes, seconds.

    Attributes:
        path: the same; a URL without its password.
        manifest: where the vectors come from.

    Raises:
        VectorError: when there is no index, or it is damaged, half loaded or of another schema version.
        OutputError: when the database cannot be reached, or refuses.

    Examples:
        >>> index = ProductIndex.open("index")                                  # doctest: +SKIP
        >>> query = embedder.embed(titles=["red canvas shoe"])                  # doctest: +SKIP
        >>> hits = index.search(query, k=10, fingerprint=embedder.fingerprint)[0]  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, timeout: float = 30) -> None:
        self._lock = RLock()
        self.path: str | Path
        self._store: Truth
        self._nearest: Neighbours
        if is_address(path):
            from item_embed.search.postgres import open_address

            self.path, self._store, self._nearest = open_address(str(path), timeout)
        else:
            refuse_url(path, "an index")
            self.path = Path(path)
            self._store, self._nearest = open_folder(self.path, timeout)
        with self._store.reading():
            self.manifest = self._store.manifest()

    @classmethod
    def open(cls, path: str | Path, timeout: float = 30) -> "ProductIndex":
        """Open an index; the same as calling the class."""
        return cls(path, timeout)

    @classmethod
    def build(
        cls, vectors: Vectors, catalog: Catalog, out: str | Path, on_progress: OnProgress = silent
    ) -> "ProductIndex":
        """Write the index of a catalogue.

        A folder is written aside first, then renamed, so that it is whole or not there. A database is loaded in parts;
        what was killed goes on when it is called again, and can be opened only when it is whole.

        Args:
            vectors: one vector for each row of the catalogue, in any order.
            catalog: where titles, categories and photos come from.
            out: the folder to write, or the URL of a database's schema; it must not exist.
            on_progress: told of the rows written and of their total, then of those in the graph where one is made.

        Returns:
            The new index, open.

        Raises:
            VectorError: when the ids of vectors and catalogue differ, or a vector is not finite.
            OutputError: when `out` exists or cannot be written.
        """
        if is_address(out):
            from item_embed.search.postgres import build_address

            build_address(CatalogFeed(vectors, catalog), str(out), on_progress)
        else:
            build_folder(CatalogFeed(vectors, catalog), Path(out), on_progress)
        return cls(out)

    def update(self, vectors: "Vectors | Embedder", catalog: Catalog, on_progress: OnProgress = silent) -> Changes:
        """Make the index that of a catalogue, writing only what differs: all of it or nothing.

        A product differs where its title, category, product, metadata or photo does; the photo is compared by a hash,
        and that of an unchanged product is not read. Where title and photo are as they were, the vector stays, and a
        model embeds nothing: made again in another batch, a vector differs in its last digits only.

        Args:
            vectors: one vector for each row of the catalogue, in any order, by the index's model; or that model, which
                then embeds the rows of which the index holds no vector, or that of another title or photo.
            catalog: what the index is to hold; products that are not in it are removed.
            on_progress: told of the rows embedded and of their total, where there are any, then of those compared.

        Returns:
            How many products were added, changed and removed, and how many are as they were.

        Raises:
            VectorError: when the vectors come from another model, have another dimension or are not finite, or their
                ids and the catalogue's differ.
            OutputError: when another process writes, or the disk is full.

        Examples:
            >>> index.update(Embedder.from_pretrained("run/model"), Catalog("catalog"))    # doctest: +SKIP
            Changes(added=12, changed=308, unchanged=43744, removed=9)
        """
        self.manifest.check_model(vectors.fingerprint, "the vectors come", self.path)
        feed = self._feed(vectors, catalog, on_progress)
        with self._lock:
            with self._writing():
                changes = feed.into(self._store, on_progress)
            self.manifest = feed.manifest
            self._nearest.fold(on_progress)
        return changes

    def upsert(self, items: Sequence[Item], vectors: NDArray[np.float32], fingerprint: str) -> Changes:
        """Add products, or replace those of the same ids: all or nothing, and on the disk when this returns.

        Args:
            items: products of different ids.
            vectors: (n, d), each of length 1 or 0.
            fingerprint: the fingerprint of the model that made the vectors.

        Returns:
            How many products were added, changed, or there already as they should be.

        Raises:
            VectorError: when vectors come from another model, have another dimension or are not finite, an id comes
                twice, or metadata are no JSON with texts as keys.
            OutputError: when another process writes, or the disk is full.

        Examples:
            >>> vector = embedder.embed(titles=["red mug"])                                # doctest: +SKIP
            >>> index.upsert([Item("a1", "red mug")], vector, embedder.fingerprint)        # doctest: +SKIP
            Changes(added=1, changed=0, unchanged=0, removed=0)
        """
        self.manifest.check_model(fingerprint, "the vectors come", self.path)
        records = records_of(items, self.manifest.matrix(vectors, "vectors", self.path))
        photos = [item.photo for item in items]
        with self._lock:
            with self._writing():
                changes = self._store.put(records, lambda places: [photos[place] for place in places])
            self._nearest.fold()
        return changes

    def delete(self, ids: Sequence[str]) -> Changes:
        """Remove products: all or nothing, and on the disk when this returns.

        Args:
            ids: of the products; those that are not there are left alone.

        Returns:
            How many were there and are removed.

        Raises:
            OutputError: when another process writes, or the disk is full.
        """
        with self._lock:
            with self._writing():
                changes = self._store.remove(sayable(ids))
            self._nearest.fold()
        return changes

    def __len__(self) -> int:
        with self._in_step():
            return len(self._nearest)

    def __repr__(self) -> str:
        return f"ProductIndex({str(self.path)!r}, products={len(self)})"

    def __enter__(self) -> "ProductIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files, or the connection."""
        self._store.close()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model whose vectors these are."""
        return self.manifest.fingerprint

    @property
    def model(self) -> str:
        """The path of that model."""
        return self.manifest.model

    @property
    def modalities(self) -> Modalities:
        """What that model saw of the products: `both`, the `image` alone, or the `title` alone."""
        return self.manifest.modalities

    def check_query(self, *, image: bool, title: bool) -> None:
        """Refuse a query of a photo or a title that these vectors do not compare with.

        Vectors of both can be searched by both or either; those of one modality alone by that modality alone, since
        scores across modalities mean nothing.

        Args:
            image: whether the query has a photo.
            title: whether the query has a title.

        Raises:
            VectorError: saying what can be looked for.
        """
        self.manifest.check_query(self.path, image=image, title=title)

    def check_filter(self, where: str) -> None:
        """Refuse a filter that cannot be read, or names a field that no product has ever had, with a FilterError."""
        with self._in_step():
            self._store.condition(where, self.manifest.fields)

    def search(
        self, queries: NDArray[np.float32], k: int, fingerprint: str, where: str | None = None
    ) -> list[list[Hit]]:
        """The k products nearest to every query by cosine; equal scores by a fixed hash of the ids.

        A small index is searched exactly, and so is what passes a narrow filter. Otherwise a graph names candidates,
        which are scored and ordered exactly.

        Args:
            queries: (Q, d) unit vectors.
            k: how many products to find; fewer come back only when fewer pass.
            fingerprint: the fingerprint of the model that made the queries.
            where: a filter in the grammar of `filters.py`, as `category = "Shoes" and price < 50`.

        Returns:
            The hits of each query, best first.

        Raises:
            VectorError: when the queries come from another model, have another dimension or are not finite, k is below
                1, or another model has built the index again since it was opened.
            FilterError: when the filter cannot be read, or names a field that no product has ever had.
        """
        queries = self.manifest.queries(queries, k, fingerprint, self.path)
        with self._in_step():
            condition = self._store.condition(where, self.manifest.fields) if where is not None else None
            rows, cosines, _ = self._nearest.search(queries, min(k, max(1, len(self._nearest))), condition)
            return self._hits(
                [dict(zip(r[r >= 0].tolist(), c.tolist(), strict=False)) for r, c in zip(rows, cosines, strict=True)]
            )

    def search_hybrid(
        self,
        queries: NDArray[np.float32],
        titles: Sequence[str],
        k: int,
        fingerprint: str,
        where: str | None = None,
    ) -> list[list[Hit]]:
        """The k products that are best by vector and by words of the title together.

        The ranking by cosine and that by BM25 are joined by reciprocal rank fusion (`fusion.py`), whose score a hit
        has; equal scores by cosine, products that only the words found last.

        Args:
            queries: (Q, d) unit vectors.
            titles: the words of every query.
            k: how many products to find; fewer come back only when fewer pass.
            fingerprint: the fingerprint of the model that made the queries.
            where: a filter, as of `search`.

        Raises:
            VectorError: as `search` does, or when there is not one title for each query.
            FilterError: as `search` does.
        """
        queries = self.manifest.queries(queries, k, fingerprint, self.path)
        if len(titles) != len(queries):
            raise VectorError(f"{len(titles)} titles cannot go with {len(queries)} queries; give one for each.")
        with self._in_step():
            depth = min(max(k, DEPTH), max(1, len(self._nearest)))
            condition = self._store.condition(where, self.manifest.fields) if where is not None else None
            found = self._nearest.search(queries, depth, condition).rows
            scores = []
            for title, rows in zip(titles, found, strict=True):
                words = self._store.rows_by_title(title, depth, condition)
                scores.append(best_by_both(rows[rows >= 0].tolist(), words.tolist(), k))
            return self._hits(scores)

    def item(self, key: str) -> Item | None:
        """The product with an id, whole, or None."""
        return self.items([key]).get(key)

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """Products by id, whole; those that are not there are left out."""
        with self._in_step():
            return self._store.items(sayable(ids))

    def items_without_photos(self, ids: Sequence[str]) -> dict[str, tuple[Item, bool]]:
        """Products by id, each with whether it has a photo: that is not read. Those that are not there are left out."""
        with self._in_step():
            return self._store.items_without_photos(sayable(ids))

    def photo(self, key: str) -> bytes | None:
        """The encoded photo (JPEG or WebP) of the product with an id, or None."""
        with self._in_step():
            return self._store.photo(key) if sayable([key]) else None

    def vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of products by id, each (d,); those that are not there are left out."""
        with self._in_step():
            return {key: seen.vector for key, seen in self._store.seen(sayable(ids)).items()}

    def scan(self, block: int = 8192) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield all products in a stable order, one block in memory at a time, as they were when it began.

        Args:
            block: how many products at once.

        Yields:
            Ids and vectors (b, d), b at most `block`: those changed longest ago first.
        """
        return self._store.scan(block, self.manifest.dimension)

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """See one state of the store, and have in memory what belongs to it."""
        with self._lock, self._store.reading():
            self._check_same()
            self._nearest.catch_up()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._store.writing():
            self._check_same()
            yield

    def _check_same(self) -> None:
        """Refuse an index that was put in this one's place: its vectors do not compare with what was opened."""
        now = self._store.manifest()
        self.manifest.check_same(now, self.path)
        self.manifest = now

    def _feed(self, vectors: "Vectors | Embedder", catalog: Catalog, on_progress: OnProgress) -> CatalogFeed:
        """What the index is to hold; a model embeds what it lacks, while others may search and write."""
        if not isinstance(vectors, Vectors):
            with self._lock, self._store.reading():
                rows = unseen(catalog, self._store)
            told = on_progress if len(rows) else silent  # else: 0 of 0
            embedded = embed_catalog(vectors, catalog, self.modalities, rows, on_progress=told)
            return CatalogFeed(embedded, catalog, partial=True)
        self.manifest.check_seen(vectors.modalities, self.path)
        return CatalogFeed(
            replace(vectors, vectors=self.manifest.matrix(vectors.vectors, "vectors", self.path)), catalog
        )

    def _hits(self, scores: list[dict[int, float]]) -> list[list[Hit]]:
        """What is shown of the rows that each query found, in their order."""
        shown = self._store.shown({row for found in scores for row in found})
        return [[Hit(score=score, **shown[row]) for row, score in found.items()] for found in scores]
