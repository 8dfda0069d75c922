import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.arrays import as_numpy

PARTS = st.lists(st.lists(st.lists(st.integers(-128, 127), max_size=9), max_size=3), max_size=3)


@given(PARTS, st.integers(0, 3))
def test_joined_columns_hold_every_number_in_order(parts: list[list[list[int]]], skipped: int) -> None:
    for type_, dtype in ((pa.int8(), np.int8), (pa.int64(), np.int64)):
        columns = [pa.chunked_array(chunks, type_).slice(skipped) for chunks in parts]
        joined = as_numpy(columns, dtype)
        assert joined.dtype == dtype
        assert joined.tolist() == [number for column in columns for number in column.to_pylist()]


@pytest.mark.parametrize("column", [pa.chunked_array([[1, None]], pa.int8()), pa.chunked_array([[1]], pa.int16())])
def test_missing_numbers_and_other_types_are_refused(column: pa.ChunkedArray) -> None:
    with pytest.raises(ValueError, match="cannot be read as int8"):
        as_numpy([column], np.int8)
