"""Vectors on disk: a Parquet file of ids and vectors that names the model which made them.

Columns `id` (string) and `vector` (fixed-size list of float32, or of half precision or int8 where `item export` made
them so), so that a vector database can load the file; the model's fingerprint and path, and what it saw of the
products, lie in the schema's metadata.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.embedding.narrow import DTYPES, Numbers, narrowed, widened
from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.files import whole_bytes
from item_embed.remote.parquet import RemoteParquet, open_files
from item_embed.remote.places import MissingError, Remote, place

_FINGERPRINT = b"item_embed.fingerprint"
_MODEL = b"item_embed.model"
_MODALITIES = b"item_embed.modalities"
_NUMBERS = "vector.list.element"  # Parquet's own name of the numbers in the lists
_ROW_GROUP = 1 << 16
_LENGTH_ERROR = 1e-2  # of a unit vector: leaves room for vectors that passed through half precision
_AGAIN = "make the vectors again with `item embed`"


@dataclass(frozen=True)
class Vectors:
    """The vectors of some products, and the model they come from.

    Attributes:
        ids: the id of each of the n products.
        vectors: (n, d) float32, each row of length 1, or 0 for a product that lacks what was to be embedded.
        fingerprint: hash of the model's weights and settings: vectors compare only within one fingerprint.
        model: path of the model's folder.
        modalities: what the model saw of the products: `both`, the `image` alone, or the `title` alone.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    fingerprint: str
    model: str
    modalities: Modalities = "both"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])


def write_vectors(path: str | Path | Remote, vectors: Vectors | Iterable[Vectors], numbers: Numbers = "fp32") -> None:
    """Write vectors to a Parquet file, which is whole or not there.

    Args:
        path: the file to write, or its fsspec URL; its folder is made if missing, a file of that name is replaced.
        vectors: what to write, or its parts in order, at least one, such as `embed_parts` makes: of these only one
            at a time is in memory.
        numbers: what they become in the file; see `narrowed`.

    Raises:
        VectorError: when ids and vectors differ in number, or a vector is not finite or not of length 1 or 0.
        OutputError: when the file cannot be written; RemoteError where it lies in a store.

    Examples:
        >>> made = Vectors(["a"], np.array([[0.6, 0.8]], np.float32), fingerprint="f", model="run/model")
        >>> write_vectors("vectors.parquet", made)  # doctest: +SKIP
    """
    path = place(path)
    parts = iter([vectors] if isinstance(vectors, Vectors) else vectors)
    first = next(parts)
    # Floats neither compress nor repeat: encoding them would only cost time. Parquet keeps int8 in 32 bits, unless
    # the 255 values that there are lie in a dictionary.
    encoding = {"use_dictionary": [_NUMBERS] if numbers == "int8" else False, "compression": "none"}
    with whole_bytes(path) as file, pq.ParquetWriter(file, _schema(first, numbers), **encoding) as writer:
        for part in chain([first], parts):
            if len(part.ids) != len(part.vectors):
                raise VectorError(f"{len(part.ids)} ids cannot name {len(part.vectors)} vectors; give one id for each.")
            check_vectors(part.vectors, part.ids, f"what is to become {path}", "check the model")
            flat = pa.array(np.ascontiguousarray(narrowed(part.vectors, numbers)).ravel())
            lists = pa.FixedSizeListArray.from_arrays(flat, first.dimension)
            table = pa.table([pa.array(part.ids, pa.string()), lists], schema=writer.schema)
            writer.write_table(table, row_group_size=_ROW_GROUP)


def read_vectors(path: str | Path | Remote) -> Vectors:
    """Read a file of vectors and check every one of them.

    Args:
        path: a file written by `item embed` or `write_vectors`, or its fsspec URL.

    Raises:
        VectorError: when the file is missing, is no file of vectors, does not name its model, or holds
            vectors that are missing, of several dimensions, not finite, or not of length 1 or 0.
        RemoteError: when its store cannot be reached, or refuses.

    Examples:
        >>> read_vectors("vectors.parquet").dimension  # doctest: +SKIP
        256
    """
    path = place(path)
    file, named = _open(path)
    return _vectors(_table(file, path), named, path)


def vector_parts(path: str | Path | Remote) -> Iterator[Vectors]:
    """The vectors of `read_vectors` part by part, at least one, for files that do not fit in memory.

    Examples:
        >>> sum(len(part) for part in vector_parts("vectors.parquet"))  # doctest: +SKIP
        44072
    """
    path = place(path)
    file, named = _open(path)
    first = None
    for table in _tables(file, path):
        part = _vectors(table, named, path)
        first = part.dimension if first is None else first
        if part.dimension != first:
            raise _mixed(path, [first, part.dimension])
        yield part


def count_vectors(path: str | Path | Remote) -> int:
    """How many vectors a file has; none is read.

    Raises:
        VectorError: when it is no file of vectors.
    """
    file, _ = _open(place(path))
    return int(file.metadata.num_rows)


def numbers_of(path: str | Path | Remote) -> Numbers:
    """What the numbers of a file's vectors are; none is read.

    Raises:
        VectorError: when it is no file of vectors.
    """
    file, _ = _open(place(path))
    kind = getattr(file.schema_arrow.field("vector").type, "value_type", None)
    return next((numbers for numbers, dtype in DTYPES.items() if kind == pa.from_numpy_dtype(dtype)), "fp32")


class _Named(NamedTuple):
    """What a file says of its vectors."""

    fingerprint: str
    model: str
    modalities: Modalities


def _open(path: Path | Remote) -> tuple[pq.ParquetFile | RemoteParquet, _Named]:
    """A file of vectors and what it says of them; its rows are not read."""
    with _readable(path):
        if isinstance(path, Path) and not path.is_file():
            raise MissingError(f"{path} is no file")
        file = pq.ParquetFile(path) if isinstance(path, Path) else next(open_files([path]))
    for column in ("id", "vector"):
        if column not in file.schema_arrow.names:
            raise VectorError(f"{path} is no file of vectors: it has no column {column!r}; {_AGAIN}.")
    metadata = file.schema_arrow.metadata or {}
    if _FINGERPRINT not in metadata or _MODEL not in metadata:
        raise VectorError(f"{path} does not say which model made its vectors; {_AGAIN}.")
    modalities = metadata.get(_MODALITIES, b"").decode()
    if modalities not in get_args(Modalities):
        raise VectorError(f"{path} does not say what the model saw of the products, title, photo or both; {_AGAIN}.")
    return file, _Named(metadata[_FINGERPRINT].decode(), metadata[_MODEL].decode(), cast("Modalities", modalities))


def _vectors(table: pa.Table, named: _Named, path: Path | Remote) -> Vectors:
    """The vectors of some rows, every one of them checked."""
    if table["id"].null_count:
        raise VectorError(f"{path} has {table['id'].null_count} rows without an id; {_AGAIN}.")
    ids = table["id"].cast(pa.string()).to_pylist()
    vectors = _matrix(table["vector"], path)
    check_vectors(vectors, ids, str(path), _AGAIN)
    return Vectors(ids, vectors, *named)


def _table(file: pq.ParquetFile | RemoteParquet, path: Path | Remote) -> pa.Table:
    """All rows."""
    with _readable(path):
        return file.read()


def _tables(file: pq.ParquetFile | RemoteParquet, path: Path | Remote) -> Iterator[pa.Table]:
    """The same, so many rows at a time; of a store, a row group."""
    with _readable(path):
        if isinstance(file, RemoteParquet):
            yield from (file.read_row_groups([group])[0] for group in range(file.metadata.num_row_groups))
        else:
            yield from (pa.Table.from_batches([batch]) for batch in file.iter_batches(_ROW_GROUP))
    if not file.metadata.num_rows:
        yield file.schema_arrow.empty_table()


@contextmanager
def _readable(path: Path | Remote) -> Iterator[None]:
    """Turn what is said of a file that cannot be read into a sentence that names it."""
    try:
        yield
    except MissingError:
        raise VectorError(f"{path} does not exist or is no file; make the vectors with `item embed`.") from None
    except (pa.ArrowInvalid, OSError):
        raise VectorError(f"{path} is damaged or is no Parquet file; {_AGAIN}.") from None


def _mixed(path: Path | Remote, dimensions: Sequence[int]) -> VectorError:
    found = " and ".join(map(str, dimensions))
    return VectorError(f"{path} mixes vectors of several dimensions ({found}); {_AGAIN} with one model.")


def _schema(vectors: Vectors, numbers: Numbers) -> pa.Schema:
    named = {
        _FINGERPRINT: vectors.fingerprint.encode(),
        _MODEL: vectors.model.encode(),
        _MODALITIES: vectors.modalities.encode(),
    }
    kind = pa.from_numpy_dtype(DTYPES[numbers])
    return pa.schema([("id", pa.string()), ("vector", pa.list_(kind, vectors.dimension))], metadata=named)


def _matrix(column: pa.ChunkedArray, path: Path | Remote) -> NDArray[np.float32]:
    """The column as (n, d), whether its lists are of fixed or of free size."""
    kind = column.type
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_int8(kind.value_type)):
        raise VectorError(f"{path} is no file of vectors: its column 'vector' holds {kind}; {_AGAIN}.")
    if column.null_count:
        raise VectorError(f"{path} has {column.null_count} rows without a vector; {_AGAIN}.")
    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(kind):
        return widened(values.reshape(len(lists), kind.list_size))
    sizes = np.unique(lists.value_lengths().to_numpy())
    if len(sizes) > 1:
        raise _mixed(path, sizes[:2].tolist())
    return widened(values.reshape(len(lists), int(sizes[0]) if len(sizes) else 0))


def check_vectors(vectors: NDArray[np.float32], ids: Sequence[str], name: str, mend: str) -> None:
    """Refuse vectors that are not finite, or not of length 1 or 0.

    Args:
        vectors: (n, d).
        ids: the id of each of them.
        name: what holds them, for the sentence.
        mend: what to do about it, for the sentence.

    Raises:
        VectorError: naming the first.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    endless = np.flatnonzero(~np.isfinite(lengths))
    if len(endless):
        raise VectorError(
            f"{name} holds {len(endless)} vectors with numbers that are not finite, "
            f"the first for {ids[endless[0]]!r}; {mend}."
        )
    odd = np.flatnonzero((np.abs(lengths - 1) > _LENGTH_ERROR) & (lengths > 0))
    if len(odd):
        raise VectorError(
            f"{name} holds {len(odd)} vectors whose length is not 1, "
            f"the first for {ids[odd[0]]!r} ({lengths[odd[0]]:.3g}); {mend}."
        )
