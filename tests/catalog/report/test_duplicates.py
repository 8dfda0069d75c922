from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.report.duplicates import NONE, equal_rows, largest_count

KEYS = st.lists(st.integers(-3, 6), max_size=40)


def by_key(keys: list[int]) -> dict[int, list[int]]:
    rows = defaultdict(list)
    for row, key in enumerate(keys):
        if key != NONE:
            rows[key].append(row)
    return {key: found for key, found in rows.items() if len(found) > 1}


@given(KEYS)
def test_rows_with_a_key_of_another_are_found(keys: list[int]) -> None:
    found = equal_rows(np.array(keys, np.int64))
    clusters = sorted(by_key(keys).values(), key=lambda rows: (-len(rows), rows[0]))

    assert len(found) == len(clusters)
    assert sorted(found.rows.tolist()) == sorted(row for rows in clusters for row in rows)
    assert [rows.tolist() for rows in found.largest(100)] == clusters


@given(KEYS, st.integers(1, 4))
def test_the_largest_come_first_and_no_more_than_asked_for(keys: list[int], most: int) -> None:
    found = equal_rows(np.array(keys, np.int64))

    sizes = sorted(map(len, by_key(keys).values()), reverse=True)
    assert [len(rows) for rows in found.largest(most)] == sizes[:most]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2)), max_size=30))
def test_rows_apart_by_another_key_are_counted(pairs: list[tuple[int, int]]) -> None:
    keys, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    together = [{others[row] for row in rows} for rows in by_key(keys).values()]
    apart = [len(other) > 1 or NONE in other for other in together]
    expected = sum(len(rows) for rows, one in zip(by_key(keys).values(), apart, strict=True) if one)

    assert equal_rows(np.array(keys, np.int64)).rows_apart(np.array(others, np.int64)) == expected


@given(KEYS)
def test_the_most_frequent_key_is_counted(keys: list[int]) -> None:
    counts = Counter(key for key in keys if key != NONE)
    distinct, key, rows = largest_count(np.array(keys, np.int64))

    assert distinct == len(counts)
    assert rows == max(counts.values(), default=0)
    assert counts[key] == rows
    assert (key == NONE) == (not counts)
