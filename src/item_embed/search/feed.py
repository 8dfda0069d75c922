"""A catalogue and its vectors as an index takes them: in parts, with photos only where they are asked for."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors, check_vectors
from item_embed.errors import VectorError
from item_embed.progress import OnProgress
from item_embed.search.backend import Truth
from item_embed.search.items import Changes
from item_embed.search.manifest import IndexManifest
from item_embed.search.records import Record, Seen

_PART_ROWS = 4096  # rows whose photos may be in memory at once
# Squared distance, a cosine of .999: two batches, or two precisions, make less of one product, two products more.
_ROUNDING = 2e-3


class CatalogFeed:
    """What an index is to hold.

    A vector that the index holds stays where title and photo are those that it was made of: made again, in another
    batch, it would differ in its last digits, and every product would have changed.

    Args:
        vectors: of the rows of the catalogue, in any order.
        catalog: where titles, categories and photos come from.
        partial: whether rows may lack a vector: those of which `unseen` found that the index holds it.

    Raises:
        VectorError: when the ids of vectors and catalogue differ, or a vector is not finite or not of length 1 or 0.
    """

    def __init__(self, vectors: Vectors, catalog: Catalog, *, partial: bool = False) -> None:
        check_vectors(vectors.vectors, vectors.ids, "what is to be indexed", "check the model")
        self._vectors = vectors.vectors
        self._catalog = catalog
        self._place = _places(vectors, catalog, partial=partial)
        self.manifest = IndexManifest(
            dimension=vectors.dimension,
            fingerprint=vectors.fingerprint,
            model=vectors.model,
            modalities=vectors.modalities,
            catalog=str(catalog.path.resolve()),
            catalog_fingerprint=catalog.fingerprint,
            fields=list(catalog.fields),
        )

    def __len__(self) -> int:
        return len(self._catalog)

    def parts(self) -> Iterator[range]:
        """Yield the rows in parts that fit into memory with their photos."""
        return _parts(self._catalog)

    def put(self, store: Truth, rows: range) -> Changes:
        """Write what differs of a part into a store that is being written."""
        seen = store.seen(self._catalog.ids[rows.start : rows.stop])
        records = [self._record(row, seen.get(self._catalog.ids[row])) for row in rows]
        return store.put(records, lambda places: self._catalog.photos(rows[place] for place in places))

    def into(self, store: Truth, on_progress: OnProgress) -> Changes:
        """Make a store that is being written hold this and nothing else, writing only what differs.

        Args:
            store: where to write.
            on_progress: told of the rows compared and of their total.
        """
        changes = Changes()
        for rows in self.parts():
            changes += self.put(store, rows)
            on_progress(rows.stop, len(self))
        changes += store.remove(self.lacking(store.ids()))
        store.write_manifest(self.manifest)
        return changes

    def lacking(self, ids: Sequence[str]) -> list[str]:
        """Those of some ids that are not in the catalogue."""
        wanted = set(self._catalog.ids)
        return [key for key in ids if key not in wanted]

    def _record(self, row: int, seen: Seen | None) -> Record:
        catalog = self._catalog
        return Record(
            catalog.ids[row],
            catalog.titles[row],
            catalog.categories[row],
            catalog.product_ids[row],
            catalog.metadata(row),
            _photo_hash(catalog, row),
            self._vector(row, seen),
        )

    def _vector(self, row: int, seen: Seen | None) -> NDArray[np.float32]:
        place = int(self._place[row])
        made: NDArray[np.float32] | None = None if place < 0 else self._vectors[place]
        same = seen is not None and _shows_the_same(self._catalog, row, seen)
        if seen is not None and same and (made is None or ((made - seen.vector) ** 2).sum() <= _ROUNDING):
            return seen.vector
        if made is None:
            raise VectorError(
                f"the product {self._catalog.ids[row]!r} was changed in the index by another process meanwhile; "
                "nothing was changed here: run it again."
            )
        return made


def unseen(catalog: Catalog, store: Truth) -> NDArray[np.int64]:
    """The rows, (n,), whose vectors a store that is being read does not hold, or of another title or photo."""
    rows: list[int] = []
    for part in _parts(catalog):
        seen = store.seen(catalog.ids[part.start : part.stop])
        held = (seen.get(catalog.ids[row]) for row in part)
        rows += [row for row, one in zip(part, held, strict=True) if not (one and _shows_the_same(catalog, row, one))]
    return np.array(rows, np.int64)


def _parts(catalog: Catalog) -> Iterator[range]:
    return (range(start, min(start + _PART_ROWS, len(catalog))) for start in range(0, len(catalog), _PART_ROWS))


def _shows_the_same(catalog: Catalog, row: int, seen: Seen) -> bool:
    return (catalog.titles[row], _photo_hash(catalog, row)) == (seen.title, seen.photo_hash)


def _photo_hash(catalog: Catalog, row: int) -> int | None:
    pixels = int(catalog.photo_pixels[row])
    return None if pixels < 0 else pixels


def _places(vectors: Vectors, catalog: Catalog, *, partial: bool) -> NDArray[np.int64]:
    """(n,) where the vector of each row of the catalogue lies, or -1."""
    if vectors.ids == catalog.ids:
        return np.arange(len(catalog))
    place = {key: number for number, key in enumerate(vectors.ids)}
    places = np.fromiter((place.get(key, -1) for key in catalog.ids), np.int64, len(catalog))
    lacking = 0 if partial else int((places < 0).sum())
    foreign = len(place.keys() - set(catalog.ids))
    repeated = len(vectors) - len(place)
    if lacking or foreign or repeated:
        raise VectorError(
            f"the vectors are not those of {catalog.path}: {lacking} of its {len(catalog)} rows lack one, "
            f"{foreign} vectors have an id that it does not know, {repeated} repeat an id; "
            "embed this catalogue again with `item embed`."
        )
    return places
