import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.report.reading import Rows


def make(folder: Path, sizes: list[int]) -> list[Path]:
    paths, first = [], 0
    for number, size in enumerate(sizes):
        table = pa.table(
            {"n": pa.array(range(first, first + size), pa.int64()), "other": pa.array(["x"] * size, pa.string())}
        )
        paths.append(folder / f"{number}.parquet")
        pq.write_table(table, paths[-1], row_group_size=4)
        first += size
    return paths


@given(st.lists(st.integers(0, 11), max_size=4), st.data())
def test_rows_are_read_by_number_across_files(sizes: list[int], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = Rows(make(Path(folder), sizes))
        streamed = [n for batch in rows.stream(["n"]) for n in batch.column(0).to_pylist()]
        assert streamed == list(range(sum(sizes)))
        wanted = data.draw(st.sets(st.sampled_from(streamed)) if streamed else st.just(set()))
        assert list(rows.take(wanted, ["n"])) == [(n, {"n": n}) for n in sorted(wanted)]
