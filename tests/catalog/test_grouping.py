from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.catalog.grouping import (
    MOST_TITLES_OF_A_PHOTO,
    Groups,
    first_of_each,
    numbered,
    split_groups,
    without_placeholders,
)
from item_embed.catalog.schema import SPLITS

_Keys = list[tuple[int, int, int, int]]


def _group(ids: list[int], keys: _Keys) -> NDArray[np.int64]:
    product, title, photo, given = np.array(keys, np.int64).reshape(len(ids), 4).T
    groups = Groups(len(ids))
    for joining in (product, title, without_placeholders(photo, title), given):
        groups.join(joining)
    return numbered(groups.smallest(np.array(ids, np.int64)))


def _closure(ids: list[int], keys: _Keys) -> list[int]:
    """Groups by the plain definition: spread through equal keys until nothing changes."""

    def joined(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return any(
            a == b >= 0 and not (place == 2 and a in placeholders)
            for place, (a, b) in enumerate(zip(one, other, strict=True))
        )

    titles: dict[int, set[int]] = {}
    for _, title, photo, _ in keys:
        if title >= 0:
            titles.setdefault(photo, set()).add(title)
    placeholders = {photo for photo, shown in titles.items() if len(shown) > MOST_TITLES_OF_A_PHOTO}
    groups = [{row} for row in range(len(ids))]
    changed = True
    while changed:
        changed = False
        for one in range(len(ids)):
            for other in range(len(ids)):
                if groups[one] is not groups[other] and joined(keys[one], keys[other]):
                    merged = groups[one] | groups[other]
                    for row in merged:
                        groups[row] = merged
                    changed = True
    smallest = [min(ids[row] for row in group) for group in groups]
    return [sorted(set(smallest)).index(name) for name in smallest]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-1, 8)] * 4), max_size=14), st.randoms(use_true_random=False))
def test_groups_are_the_transitive_closure_whatever_the_order(keys: _Keys, random: Random) -> None:
    ids = [100 + number for number in range(len(keys))]
    random.shuffle(ids)
    groups = _group(ids, keys)
    assert groups.tolist() == _closure(ids, keys)
    order = list(range(len(ids)))
    random.shuffle(order)
    shuffled = _group([ids[row] for row in order], [keys[row] for row in order])
    assert shuffled.tolist() == [groups[row] for row in order]


@pytest.mark.parametrize("place", range(4))
def test_each_key_joins_alone(place: int) -> None:
    keys: _Keys = [tuple(5 if at == place else row + 10 * at for at in range(4)) for row in (100, 200)]  # type: ignore[misc]
    assert _group([1, 2], keys).tolist() == [0, 0]


def test_no_key_joins_nothing() -> None:
    assert _group([2, 1], [(-1, -1, -1, -1)] * 2).tolist() == [1, 0]


@pytest.mark.parametrize(("titles", "groups"), [(MOST_TITLES_OF_A_PHOTO, 1), (MOST_TITLES_OF_A_PHOTO + 1, 21)])
def test_a_placeholder_joins_nothing(titles: int, groups: int) -> None:
    ids = list(range(titles))
    assert len(set(_group(ids, [(-1, n, 9, -1) for n in range(titles)]).tolist())) == groups


def test_a_row_without_a_title_adds_none_to_a_photo() -> None:
    ids = list(range(MOST_TITLES_OF_A_PHOTO + 1))
    keys: _Keys = [(-1, n - 1, 9, -1) for n in range(len(ids))]
    assert set(_group(ids, keys).tolist()) == {0}


def test_many_rows_of_few_titles_make_no_placeholder() -> None:
    rows = 4 * MOST_TITLES_OF_A_PHOTO
    keys: _Keys = [(-1, n % 3 if n % 2 else -1, 9, -1) for n in range(rows)]
    assert set(_group(list(range(rows)), keys).tolist()) == {0}


def test_no_rows() -> None:
    assert len(_group([], [])) == 0


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=30))
def test_the_first_row_of_an_id_needs_both_hashes(ids: list[tuple[int, int]]) -> None:
    one, check = np.array(ids, np.int64).reshape(-1, 2).T
    assert first_of_each(one, check).tolist() == [ids.index(pair) for pair in ids]


def test_splits_have_their_shares() -> None:
    splits = split_groups(np.arange(30_000) // 3 * 977, seed=1)
    shares = [float((splits == split).mean()) for split in range(len(SPLITS))]
    assert shares == pytest.approx([0.90, 0.05, 0.05], abs=0.01)
    assert all(len(set(splits[start : start + 3])) == 1 for start in range(0, 30_000, 3))


def test_a_split_depends_on_seed_and_smallest_id_only() -> None:
    smallest = np.arange(2000) // 2
    splits = split_groups(smallest, seed=1)
    assert (splits == split_groups(smallest, seed=1)).all()
    assert (splits != split_groups(smallest, seed=2)).any()
    assert (split_groups(smallest[::-1], seed=1)[::-1] == splits).all()
    assert (split_groups(smallest[:500], seed=1) == splits[:500]).all()
