"""Arrow's numbers as numpy arrays. Arrow's own way imports pandas, which takes half a second."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

N = TypeVar("N", bound=np.integer)


def as_numpy(parts: Iterable[pa.ChunkedArray], dtype: type[N]) -> NDArray[N]:
    """Join columns of integers, none missing, whose Arrow type has the width of `dtype`.

    Raises:
        ValueError: when a number is missing, or the type is another.

    Examples:
        >>> as_numpy([pa.chunked_array([[1, 2], [3]])], np.int64).tolist()
        [1, 2, 3]
    """
    chunks = (chunk for part in parts for chunk in part.chunks if len(chunk))
    return np.concatenate([np.zeros(0, dtype), *(_numbers(chunk, np.dtype(dtype)) for chunk in chunks)])


def _numbers(chunk: pa.Array, dtype: np.dtype[N]) -> NDArray[N]:
    if chunk.null_count or chunk.type != pa.from_numpy_dtype(dtype):
        raise ValueError(f"{chunk.type} with {chunk.null_count} missing cannot be read as {dtype}")
    return np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
