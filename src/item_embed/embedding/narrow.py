"""Vectors in fewer bits, for databases: half precision, or whole numbers of 8 bits."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: What a vector's numbers are in a file: float32, float16, or whole numbers from -127 to 127.
Numbers = Literal["fp32", "half", "int8"]

DTYPES: dict[Numbers, type[np.generic]] = {"fp32": np.float32, "half": np.float16, "int8": np.int8}
_LARGEST = 127


def narrowed(vectors: NDArray[np.float32], numbers: Numbers) -> NDArray[Any]:
    """Round unit vectors to numbers of fewer bits.

    Each vector of int8 is stretched until its largest number is 127, so none of the range is wasted. It is not of
    length 1 then: compare such vectors by cosine, not by dot product.

    Args:
        vectors: (n, d), each of length 1 or 0.
        numbers: what they become; `fp32` leaves them as they are.

    Examples:
        >>> narrowed(np.array([[0.6, -0.8]], np.float32), "int8").tolist()
        [[95, -127]]
    """
    if numbers == "int8":
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
        vectors = np.rint(vectors * (_LARGEST / np.where(largest > 0, largest, 1)))
    return vectors.astype(DTYPES[numbers], copy=False)


def widened(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Float32 again: of int8 of length 1, what is zero stays so; of other numbers as they are."""
    floats = vectors.astype(np.float32, copy=False)
    if vectors.dtype != np.int8:
        return floats
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    return np.asarray(floats / np.where(lengths > 0, lengths, 1), np.float32)
