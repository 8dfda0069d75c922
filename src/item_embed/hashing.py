"""Counter-based randomness: numbers that are functions of their keys, not of what was drawn before.

Masks, mismatch partners, splits and tie-breaks are keyed by (seed, stream, epoch, row, ...), so any split of the
work over batches, processes or restarts gives the same numbers.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash64(*keys: ArrayLike) -> NDArray[np.uint64]:
    """Hash integer keys into 64 well-mixed bits, broadcasting like numpy arithmetic.

    Each key passes through the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).

    Args:
        keys: integers or integer arrays of broadcastable shapes; negative ones wrap.

    Returns:
        An array of the broadcast shape.

    Examples:
        >>> hash64(7, np.arange(3)).shape
        (3,)
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = _mix((state ^ _as_uint64(key)) + _GOLDEN)
    return np.asarray(state, np.uint64)


def uniform(*keys: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) from integer keys; see `hash64`."""
    return np.asarray((hash64(*keys) >> np.uint64(11)) * 2.0**-53)


def text_hash(text: str | bytes) -> int:
    """A 63-bit hash of a text, the same in every process and on every machine."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 1


def _as_uint64(key: ArrayLike | int) -> NDArray[np.uint64]:
    if isinstance(key, int):
        return np.asarray(key & 0xFFFFFFFFFFFFFFFF, np.uint64)
    array: NDArray[Any] = np.asarray(key)
    if array.dtype.kind not in "iu":
        raise TypeError(f"hash keys are integers, not {array.dtype}")
    return array.astype(np.uint64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
