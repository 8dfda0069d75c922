"""Arrow's numbers as numpy arrays. Arrow's own way imports pandas, which takes half a second."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

N = TypeVar("N", bound=np.integer)


def as_numpy(parts: Iterable[pa.ChunkedArray], dtype: type[N]) -> NDArray[N]:
    """Join columns of integers, none missing, whose Arrow type has the width of `dtype`.

    Example:
        >>> as_numpy([pa.chunked_array([[1, 2], [3]])], np.int64).tolist()
        [1, 2, 3]
    """
    chunks = (chunk for part in parts for chunk in part.chunks)
    width = np.dtype(dtype).itemsize
    numbers = [np.frombuffer(c.buffers()[1], dtype, len(c), c.offset * width) for c in chunks if len(c)]
    return np.concatenate([np.zeros(0, dtype), *numbers])
