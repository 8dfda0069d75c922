"""A catalogue and its vectors as an index takes them: in parts, with photos only where they are asked for."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.errors import VectorError
from item_embed.progress import OnProgress
from item_embed.search.backend import Truth
from item_embed.search.items import Changes, IndexManifest
from item_embed.search.records import Record

_PART_ROWS = 4096  # rows whose photos may be in memory at once


class CatalogFeed:
    """What an index is to hold.

    Args:
        vectors: one vector for each row of the catalogue, in any order.
        catalog: where titles, categories and photos come from.

    Raises:
        VectorError: when the ids of vectors and catalogue differ.
    """

    def __init__(self, vectors: Vectors, catalog: Catalog) -> None:
        self._vectors = _in_catalog_order(vectors, catalog)
        self._catalog = catalog
        self.manifest = IndexManifest(
            dimension=vectors.dimension,
            fingerprint=vectors.fingerprint,
            model=vectors.model,
            modalities=vectors.modalities,
            catalog=str(catalog.path.resolve()),
            catalog_fingerprint=catalog.fingerprint,
        )

    def __len__(self) -> int:
        return len(self._catalog)

    def parts(self) -> Iterator[tuple[list[Record], Callable[[list[int]], Sequence[bytes | None]]]]:
        """Yield the products in parts, with what gives the photos of some of a part by their places in it."""
        for start in range(0, len(self), _PART_ROWS):
            rows = range(start, min(start + _PART_ROWS, len(self)))
            yield [self._record(row) for row in rows], self._photos_from(start)

    def into(self, store: Truth, on_progress: OnProgress) -> Changes:
        """Make a store that is being written hold this and nothing else, writing only what differs.

        Args:
            store: where to write.
            on_progress: told of the rows compared and of their total.
        """
        changes = Changes()
        for records, photos in self.parts():
            changes += store.put(records, photos)
            on_progress(changes.added + changes.changed + changes.unchanged, len(self))
        changes += store.remove(self.lacking(store.ids()))
        store.write_manifest(self.manifest)
        return changes

    def lacking(self, ids: Sequence[str]) -> list[str]:
        """Those of some ids that are not in the catalogue."""
        wanted = set(self._catalog.ids)
        return [key for key in ids if key not in wanted]

    def _record(self, row: int) -> Record:
        catalog = self._catalog
        pixels = int(catalog.photo_pixels[row])
        return Record(
            catalog.ids[row],
            catalog.titles[row],
            catalog.categories[row],
            catalog.product_ids[row],
            catalog.metadata(row),
            None if pixels < 0 else pixels,
            self._vectors[row],
        )

    def _photos_from(self, start: int) -> Callable[[list[int]], Sequence[bytes | None]]:
        return lambda places: self._catalog.photos(start + place for place in places)


def _in_catalog_order(vectors: Vectors, catalog: Catalog) -> NDArray[np.float32]:
    if vectors.ids == catalog.ids:
        return vectors.vectors
    place = {key: row for row, key in enumerate(vectors.ids)}
    lacking = sum(key not in place for key in catalog.ids)
    foreign = len(place.keys() - set(catalog.ids))
    repeated = len(vectors) - len(place)
    if lacking or foreign or repeated:
        raise VectorError(
            f"the vectors are not those of {catalog.path}: {lacking} of its {len(catalog)} rows lack one, "
            f"{foreign} vectors have an id that it does not know, {repeated} repeat an id; "
            "embed this catalogue again with `item embed`."
        )
    return vectors.vectors[[place[key] for key in catalog.ids]]
