"""`ProductIndex`: products and their vectors in one folder, searched by vector.

INDEX/manifest.json     counts, the model and what it saw, the catalogue it was made from
INDEX/vectors.npy       (n, d) float32, in the catalogue's order, memory-mapped when opened
INDEX/ties.npy          (n,) uint64, the keys that order equal scores, memory-mapped too
INDEX/items.parquet     what is shown of each product, `ITEM_SCHEMA`
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import Vectors
from item_embed.errors import VectorError
from item_embed.files import check_output, whole_folder
from item_embed.progress import OnProgress, silent
from item_embed.search import exact

SCHEMA_VERSION = 2
ITEM_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("category", pa.string()),
        pa.field("product_id", pa.string()),
        pa.field("metadata", pa.string(), nullable=False),  # a JSON object
        pa.field("image", pa.binary()),
    ]
)

_SHOWN = ["id", "title", "category", "metadata"]
_GROUP_ROWS = 128  # a hit costs the reading of its group, so groups are small
_PART_ROWS = 4096  # rows whose photos are in memory at once while building


class IndexManifest(BaseModel):
    """What `manifest.json` holds."""

    schema_version: int = SCHEMA_VERSION
    count: int
    dimension: int
    fingerprint: str
    model: str
    modalities: Modalities
    catalog: str
    catalog_fingerprint: str


@dataclass(frozen=True)
class Hit:
    """A product that was found; `score` is the cosine, `row` its number in the index and in the catalogue."""

    id: str
    score: float
    title: str | None
    category: str | None
    metadata: dict[str, Any]
    row: int


@dataclass(frozen=True)
class Item:
    """A product as the index holds it; `photo` is encoded (JPEG or WebP)."""

    id: str
    title: str | None
    category: str | None
    product_id: str | None
    metadata: dict[str, Any]
    photo: bytes | None


class ProductIndex:
    """Products that can be found by vector; `build` makes one on disk, `open` opens it.

    Args:
        path: a folder written by `build`.

    Raises:
        VectorError: when the folder is no index, is damaged, or is of another schema version.

    Example:
        >>> index = ProductIndex.open("index")                                  # doctest: +SKIP
        >>> query = embedder.embed(titles=["red canvas shoe"])                  # doctest: +SKIP
        >>> hits = index.search(query, k=10, fingerprint=embedder.fingerprint)[0]  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)
        self._held: tuple[int, pa.Table] | None = None
        try:
            self._vectors = np.load(self.path / "vectors.npy", mmap_mode="r", allow_pickle=False)
            self._ties = np.load(self.path / "ties.npy", mmap_mode="r", allow_pickle=False)
            self._items = pq.ParquetFile(self.path / "items.parquet", memory_map=True)
        except (OSError, EOFError, ValueError, pa.ArrowInvalid):
            raise VectorError(f"{self.path} is damaged or incomplete; build it again with `item index`.") from None
        expected = (self.manifest.count, self.manifest.dimension)
        rows = {self._items.metadata.num_rows, *self._ties.shape, len(self)}
        if self._vectors.shape != expected or len(rows) > 1:
            raise VectorError(f"the files of {self.path} disagree with its manifest; build it again with `item index`.")

    @classmethod
    def open(cls, path: str | Path) -> "ProductIndex":
        """Open an index; the same as calling the class."""
        return cls(path)

    @classmethod
    def build(
        cls, vectors: Vectors, catalog: Catalog, out: str | Path, on_progress: OnProgress = silent
    ) -> "ProductIndex":
        """Write the index of a catalogue: aside first, then renamed, so that it is whole or not there.

        Args:
            vectors: one vector for each row of the catalogue, in any order.
            catalog: where titles, categories and photos come from.
            out: the folder to write; it must not exist.
            on_progress: told of the rows written and of their total.

        Returns:
            The new index, open.

        Raises:
            VectorError: when the ids of vectors and catalogue differ.
            OutputError: when `out` exists or cannot be written.
        """
        check_output(out)
        ordered = _in_catalog_order(vectors, catalog)
        manifest = IndexManifest(
            count=len(catalog),
            dimension=vectors.dimension,
            fingerprint=vectors.fingerprint,
            model=vectors.model,
            modalities=vectors.modalities,
            catalog=str(catalog.path.resolve()),
            catalog_fingerprint=catalog.fingerprint,
        )
        with whole_folder(out) as aside:
            np.save(aside / "vectors.npy", ordered)
            np.save(aside / "ties.npy", exact.tie_keys(catalog.ids))
            _write_items(aside / "items.parquet", catalog, on_progress)
            (aside / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf8")
        return cls(out)

    def __len__(self) -> int:
        return self.manifest.count

    def __repr__(self) -> str:
        return f"ProductIndex({str(self.path)!r}, products={len(self)})"

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
        if (self.modalities == "title" and image) or (self.modalities == "image" and title):
            fitting, lacking = ("title", "photo") if self.modalities == "title" else ("photo", "title")
            raise VectorError(
                f"{self.path} was made from {fitting}s alone and cannot be searched by {lacking}; look for a {fitting} "
                "only, or embed with --modalities both and index again."
            )

    def search(self, queries: NDArray[np.float32], k: int, fingerprint: str) -> list[list[Hit]]:
        """The k products nearest to every query by cosine; equal scores by a fixed hash of the ids.

        Args:
            queries: (Q, d) unit vectors.
            k: how many products to find; fewer come back when the index holds fewer.
            fingerprint: the fingerprint of the model that made the queries.

        Returns:
            The hits of each query, best first.

        Raises:
            VectorError: when the queries come from another model or have another dimension, or k is below 1.
        """
        if fingerprint != self.fingerprint:
            raise VectorError(
                f"the query comes from another model ({fingerprint[:12]}) than the vectors of {self.path} "
                f"({self.fingerprint[:12]}, {self.model}); use that model, or embed and index again."
            )
        if queries.ndim != 2 or queries.shape[1] != self.manifest.dimension:
            raise VectorError(
                f"queries of shape {queries.shape} do not fit {self.path}, whose vectors have "
                f"{self.manifest.dimension} numbers; give an array (queries, {self.manifest.dimension})."
            )
        if k < 1:
            raise VectorError(f"k must be at least 1, not {k}.")
        rows, scores = exact.search(queries, self._vectors, min(k, max(1, len(self))), self._ties)
        items = self._read(rows[rows >= 0].tolist())
        return [
            [Hit(score=float(s), row=int(r), **items[int(r)]) for r, s in zip(*found, strict=True) if r >= 0]
            for found in zip(rows, scores, strict=True)
        ]

    def photo(self, row: int) -> bytes | None:
        """The encoded photo (JPEG or WebP) of one row, or None."""
        group, place = divmod(row, _GROUP_ROWS)
        photo: bytes | None = self._items.read_row_group(group, columns=["image"]).column(0)[place].as_py()
        return photo

    def scan(self, block: int = 8192) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield all products' ids and vectors, (b, d), block by block, in an order that stays while nothing changes.

        Args:
            block: how many rows are in memory at once.
        """
        for start in range(0, len(self), block):
            yield self._ids[start : start + block], np.array(self._vectors[start : start + block])

    def item(self, key: str) -> Item:
        """The product with an id.

        Raises:
            KeyError: when there is none.
        """
        group, place = divmod(self._places[key], _GROUP_ROWS)
        if self._held is None or self._held[0] != group:  # as a rule the next one asked for is of the same group
            self._held = group, self._items.read_row_group(group)
        row = self._held[1].slice(place, 1).to_pylist()[0]
        return Item(photo=row.pop("image"), metadata=json.loads(row.pop("metadata")), **row)

    @cached_property
    def _ids(self) -> list[str]:
        ids: list[str] = self._items.read(columns=["id"]).column(0).to_pylist()
        return ids

    @cached_property
    def _places(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self._ids)}

    def _read(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What `Hit` shows of each of these rows; every group is read once."""
        items: dict[int, dict[str, Any]] = {}
        by_group: dict[int, set[int]] = {}
        for row in rows:
            by_group.setdefault(row // _GROUP_ROWS, set()).add(row)
        for group, members in by_group.items():
            table = self._items.read_row_group(group, columns=_SHOWN)
            for row in members:
                item = table.slice(row - group * _GROUP_ROWS, 1).to_pylist()[0]
                items[row] = item | {"metadata": json.loads(item["metadata"])}
        return items


def _read_manifest(path: Path) -> IndexManifest:
    file = path / "manifest.json"
    if not file.is_file():
        raise VectorError(f"{path} is not an index: it has no manifest.json; make one with `item index`.")
    try:
        found = json.loads(file.read_text(encoding="utf8"))
        version = found.get("schema_version")
        if version != SCHEMA_VERSION:
            raise VectorError(
                f"{path} has schema version {version}, this item-embed reads {SCHEMA_VERSION}; "
                "build it again with `item index`."
            )
        return IndexManifest.model_validate(found)
    except (ValueError, AttributeError):  # of JSON, of UTF-8, of pydantic; no object
        raise VectorError(f"{file} is not the manifest of an index, or is damaged; see `item index`.") from None


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


def _write_items(path: Path, catalog: Catalog, on_progress: OnProgress) -> None:
    with pq.ParquetWriter(path, ITEM_SCHEMA, compression="zstd", write_statistics=False) as writer:
        for start in range(0, len(catalog), _PART_ROWS):
            rows = range(start, min(start + _PART_ROWS, len(catalog)))
            columns = {
                "id": catalog.ids[start : rows.stop],
                "title": catalog.titles[start : rows.stop],
                "category": catalog.categories[start : rows.stop],
                "product_id": catalog.product_ids[start : rows.stop],
                "metadata": [json.dumps(catalog.metadata(row), ensure_ascii=False) for row in rows],
                "image": catalog.photos(rows),
            }
            writer.write_table(pa.table(columns, schema=ITEM_SCHEMA), row_group_size=_GROUP_ROWS)
            on_progress(rows.stop, len(catalog))
