import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.embedding.loss import NEIGHBOURS, loss_of, spread_rows


def drawn(rows: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("rows", [2, 7, 40])
def test_the_loss_in_plain_loops(rows: int) -> None:
    exact = drawn(rows)
    found = exact + np.float32(0.25) * drawn(rows, seed=1)
    cosines, same, kept = [], 0, []
    for row in range(rows):
        others = [other for other in range(rows) if other != row]
        cosines.append(exact[row] @ found[row] / np.linalg.norm(exact[row]) / np.linalg.norm(found[row]))
        true, other = (
            sorted(others, key=lambda o: -float(vectors[row] @ vectors[o]))[:NEIGHBOURS] for vectors in (exact, found)
        )
        same += true[0] == other[0]
        kept.append(len(set(true) & set(other)) / len(true))
    loss = loss_of(exact, found)
    assert loss is not None
    assert loss.rows == rows
    assert loss.cosine == pytest.approx(np.mean(cosines))
    assert loss.lowest_cosine == pytest.approx(min(cosines))
    assert loss.same_nearest == pytest.approx(same / rows)
    assert loss.neighbours_kept == pytest.approx(np.mean(kept))
    assert loss.cosine < 0.999


def test_equal_vectors_lose_nothing_and_zeros_do_not_count() -> None:
    exact = drawn(30)
    exact[[3, 9]] = 0
    loss = loss_of(exact, exact)
    assert loss is not None
    assert (loss.rows, loss.same_nearest, loss.neighbours_kept) == (28, 1, 1)
    assert loss.lowest_cosine == pytest.approx(1)
    told = "cosine to the exact vectors 1.00000 in the mean and 1.00000 at worst; of 28 rows 100.0% keep their nearest"
    assert loss.text().startswith(told)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_have_no_neighbours(rows: int) -> None:
    assert loss_of(drawn(rows), drawn(rows)) is None


@given(st.integers(0, 300), st.integers(1, 50))
def test_rows_are_spread_over_the_file(rows: int, most: int) -> None:
    found = spread_rows(rows, most)
    assert len(found) == min(rows, most)
    assert found.tolist() == sorted(set(found.tolist()))
    if rows and most > 1:
        assert (found[0], found[-1]) == (0, rows - 1)
        assert np.ptp(np.diff(found)) <= 1 if len(found) > 1 else True
