import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.settling import Settled, settle
from item_embed.catalog.spool import Fate, Spool, SpooledKeys
from tests.catalog.test_spool import spooled

_ROWS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 1)), min_size=1, max_size=12)


def _settle(folder: Path, rows: list[tuple[str | None, int]]) -> Settled:
    spool = Spool(folder / "spool")
    chunks = [rows[first : first + 3] for first in range(0, len(rows), 3)]
    for number, chunk in enumerate(chunks):
        spool.write(number, [spooled(3 * number + i, identity, source) for i, (identity, source) in enumerate(chunk)])
    return settle(spool.keys(len(chunks)), seed=0)


@settings(max_examples=50, deadline=None)
@given(rows=_ROWS)
def test_of_rows_with_one_id_the_first_is_kept(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, int]]
) -> None:
    settled = _settle(tmp_path_factory.mktemp("settling"), rows)
    seen: dict[str, int] = {}
    expected = []
    for identity, source in rows:
        if identity is None:
            expected.append(Fate.SET_ASIDE)
        elif identity in seen:
            same = seen[identity] == source
            expected.append(Fate.SAME_ID_SAME_CONTENT if same else Fate.SAME_ID_DIFFERENT_CONTENT)
        else:
            seen[identity] = source
            expected.append(Fate.KEPT)
    assert settled.fates.tolist() == expected
    assert len(settled.groups) == len(settled.splits) == len(seen)
    assert set(settled.groups.tolist()) <= {0}  # all have one photo
    assert settled.changes == (0, len(seen), 0, 0)


def test_settling_takes_at_most_100_bytes_a_row(tmp_path: Path) -> None:
    """Where every row shares every key with another one, and a tenth of the ids come twice."""
    rows = 200_000
    draw = np.random.default_rng(0)
    ids = draw.integers(1, 2**62, rows)
    ids[: rows // 10] = ids[-(rows // 10) :]
    columns = {"id": ids, "id_check": ids, "source": ids, "kept": np.ones(rows, np.bool_)}
    columns |= {name: draw.permutation(rows) // 2 for name in ("product_id", "title", "photo", "group")}
    columns["change"] = np.zeros(rows, np.uint8)
    for name, column in columns.items():
        column.tofile(tmp_path / f"all-{name}.keys")
    keys = SpooledKeys(tmp_path, np.array([rows]))
    tracemalloc.start()
    settled = settle(keys, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(settled.groups) == rows - rows // 10
    assert peak / rows <= 100
