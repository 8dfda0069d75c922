from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.search.duplicates import neighbours as module
from item_embed.search.duplicates.neighbours import Pairs, find_pairs, measure_recall, united
from item_embed.search.exact import search as exact_search
from item_embed.search.exact import tie_keys
from tests.search.duplicates.made import groups


def ties(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    return tie_keys([str(number) for number in range(len(vectors))])


def search(vectors: NDArray[np.float32], work: Path, k: int = 5, floor: float = 0.9, **options: Any) -> Pairs:
    asked = options.pop("asked", np.arange(len(vectors)))
    return find_pairs(vectors, asked, k=k, floor=floor, ties=ties(vectors), work=work, **options)[0]


def plain(vectors: NDArray[np.float32], k: int, floor: float) -> set[tuple[int, int]]:
    """Each vector with its k nearest above the floor, by loops."""
    found = set()
    for one in range(len(vectors)):
        others = [(float(vectors[one] @ vectors[other]), other) for other in range(len(vectors)) if other != one]
        for cosine, other in sorted(others, reverse=True)[:k]:
            if cosine >= floor:
                found.add((min(one, other), max(one, other)))
    return found


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert len(set(found)) == len(found)
    return set(found)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 6), st.floats(0.5, 0.99))
@settings(max_examples=30)
def test_few_vectors_have_exactly_their_nearest(seed: int, products: int, k: int, floor: float) -> None:
    import tempfile

    vectors = groups(products, 3, seed, spread=0.4)
    with tempfile.TemporaryDirectory() as folder:
        assert as_set(search(vectors, Path(folder), k, floor)) == plain(vectors, k, floor)


def test_pairs_are_in_order_and_have_their_cosines(tmp_path: Path) -> None:
    vectors = groups(30, 3)
    pairs = search(vectors, tmp_path)
    assert len(pairs) == 90
    assert (pairs.first < pairs.second).all()
    assert pairs.first.tolist() == sorted(pairs.first.tolist())
    assert pairs.cosine == pytest.approx((vectors[pairs.first] * vectors[pairs.second]).sum(axis=1), abs=1e-6)


@pytest.mark.parametrize("shard_bytes", [1 << 30, 4 * 16 * 150])
def test_inverted_lists_find_what_exact_search_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_bytes: int
) -> None:
    vectors = groups(200, 3)
    exact = search(vectors, tmp_path / "exact")
    monkeypatch.setattr(module, "_EXACT_PRODUCTS", 0)
    monkeypatch.setattr(module, "_SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(module, "_BLOCK", 100)
    listed = search(vectors, tmp_path / "listed")
    assert len(list((tmp_path / "listed").iterdir())) == 6 * (1 if shard_bytes > 1 << 20 else 4)
    assert as_set(listed) == as_set(exact)
    assert listed.cosine.tolist() == exact.cosine.tolist()


def test_a_killed_search_goes_on_after_its_last_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 10)
    vectors = groups(20, 3)
    whole = search(vectors, tmp_path / "whole")

    def kill(done: int, total: int | None) -> None:
        assert total == 60
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(vectors, tmp_path / "killed", on_progress=kill)
    asked: list[int] = []
    exact = module._exact

    def recorded(*arguments: Any) -> Any:
        def ask(block: NDArray[np.int64]) -> Any:
            asked.extend(block.tolist())
            return exact(*arguments)(block)

        return ask

    monkeypatch.setattr(module, "_exact", recorded)
    again = search(vectors, tmp_path / "killed")
    assert asked == list(range(30, 60))
    assert again.first.tolist() == whole.first.tolist()
    assert again.cosine.tolist() == whole.cosine.tolist()


def test_only_those_asked_for_are_searched(tmp_path: Path) -> None:
    vectors = groups(10, 3)
    pairs, full = find_pairs(vectors, np.array([4]), k=2, floor=0.9, ties=ties(vectors), work=tmp_path)
    assert as_set(pairs) == {(3, 4), (4, 5)}
    assert np.flatnonzero(full).tolist() == [4]  # it has two neighbours, and there might be more


def test_recall_is_the_share_of_what_exact_search_finds(tmp_path: Path) -> None:
    vectors = groups(40, 3)
    pairs = search(vectors, tmp_path)
    options: dict[str, Any] = {"k": 5, "floor": 0.9, "ties": ties(vectors)}
    whole = measure_recall(vectors, pairs, **options)
    assert (whole.above(0.9), whole.vectors) == ((240, 240), 120)  # each pair from both its ends
    lost = pairs.subset(np.arange(len(pairs)) >= 12)
    assert measure_recall(vectors, lost, **options).above(0.9) == (216, 240)
    middle = float(np.median(pairs.cosine))
    assert measure_recall(vectors, pairs, **options).above(middle)[1] == 2 * int((pairs.cosine >= middle).sum())


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 8))
@settings(max_examples=30)
def test_parts_of_the_vectors_give_what_all_at_once_give(seed: int, rows: int, k: int) -> None:
    vectors = groups(8, 4, seed)[np.random.default_rng(seed).integers(0, 32, 32)]  # some of them equal
    asked = np.arange(0, 32, 3)
    expected = exact_search(vectors[asked], vectors, k, ties(vectors), asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", rows)
        found = module._exact(vectors, k, ties(vectors))(asked)
    assert found[0].tolist() == expected[0].tolist()
    assert found[1].tolist() == np.minimum(expected[1], 1).tolist()


class Counted(np.ndarray[Any, Any]):
    """Vectors that count how many numbers of them are multiplied with queries."""

    read = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        if ufunc is np.matmul:
            Counted.read += given[1].size
        return getattr(ufunc, method)(*(np.asarray(one) for one in given), **options)


def test_the_check_goes_through_the_vectors_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = groups(200, 3)
    pairs = search(vectors, tmp_path)
    monkeypatch.setattr(module, "_ROWS", 50, raising=False)
    monkeypatch.setattr("item_embed.search.exact._BLOCK_BYTES", 4 * 50 * 500)  # as many scores as one part has
    options: dict[str, Any] = {"k": 5, "floor": 0.9, "ties": ties(vectors)}
    expected = measure_recall(vectors, pairs, **options).above(0.9)
    assert measure_recall(vectors.view(Counted), pairs, **options).above(0.9) == expected
    assert Counted.read == vectors.size


def test_no_vectors_no_pairs(tmp_path: Path) -> None:
    nothing = np.zeros((0, 4), np.float32)
    pairs = search(nothing, tmp_path)
    assert len(pairs) == 0
    assert measure_recall(nothing, pairs, k=5, floor=0.9, ties=ties(nothing)).above(0.9) == (0, 0)


def test_united_pairs_come_once_whichever_end_is_first() -> None:
    one = Pairs(np.array([3, 0]), np.array([1, 2]), np.array([0.5, 0.7], np.float32))
    other = Pairs(np.array([1]), np.array([3]), np.array([0.5], np.float32))
    both = united([one, other], 4)
    assert (both.first.tolist(), both.second.tolist()) == ([0, 1], [2, 3])
    assert both.cosine.tolist() == pytest.approx([0.7, 0.5])
