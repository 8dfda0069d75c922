from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.errors import ConfigError
from item_embed.evaluation.classification import Judged
from item_embed.evaluation.dominance import Movement
from item_embed.evaluation.intervals import RESAMPLES, draws, figures
from item_embed.evaluation.measured import (
    FIGURES,
    Sums,
    accuracy_sums,
    dominance_sums,
    form,
    known,
    mean,
    read_measured,
    retrieval_sums,
    write_measured,
)
from item_embed.evaluation.metrics import QueryMetrics, query_metrics
from tests.evaluation.sums import drawn


def random_metrics(queries: int, seed: int) -> QueryMetrics:
    ranked = np.random.default_rng(seed).random((queries, 10)) < 0.3
    return query_metrics(ranked, np.full(queries, 12))


PRODUCTS = np.random.default_rng(99).integers(40, size=120)


def test_retrieval_figures_and_differences_are_those_of_the_evaluation() -> None:
    one, other = random_metrics(120, 0), random_metrics(120, 1)
    sums, others = retrieval_sums(one, PRODUCTS), retrieval_sums(other, PRODUCTS)
    values, differences = figures(one, PRODUCTS, seed=3), figures(one, PRODUCTS, minus=other, seed=3)
    for name, of in sums.items():
        for found, wanted in (of.figure(seed=3), values[name]), (of.minus(others[name], seed=3), differences[name]):
            assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


@given(st.integers(1, 5), st.integers(0, 3))
def test_the_mean_over_seeds_is_the_mean_of_their_values(seeds: int, first: int) -> None:
    runs = [
        retrieval_sums(random_metrics(120, number), PRODUCTS) | {"dominance_index": drawn(number)["dominance_index"]}
        for number in range(first, first + seeds)
    ]
    for name in runs[0]:
        assert mean([run[name] for run in runs]).value == pytest.approx(np.mean([run[name].value for run in runs]))


def test_the_mean_of_ratios_gives_each_run_the_same_weight_however_far_its_vectors_move() -> None:
    rng = np.random.default_rng(0)
    some, many = rng.random(30), 40 * rng.random(30)
    photo, title = Sums(some, some), Sums(-many, many)
    found = mean([photo, title]).figure()
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0))
    assert mean([photo, photo]).value == 1
    assert mean([photo, Sums(np.zeros(30), np.zeros(30))]).value == 0.5  # what does not move has 0 by definition


def test_the_mean_of_ratios_and_its_interval_in_plain_loops() -> None:
    runs = [drawn(seed)["dominance_index"] for seed in range(3)]
    values = []
    for counts in np.concatenate(list(draws(30, RESAMPLES, 5))):
        shares = [
            sum(n * c for n, c in zip(run.numerators, counts, strict=True))
            / sum(n * c for n, c in zip(run.denominators, counts, strict=True))
            for run in runs
        ]
        values.append(sum(shares) / 3)
    low, high = np.quantile(values, [0.025, 0.975])
    found = mean(runs).figure(seed=5)
    assert (found.value, found.low, found.high) == pytest.approx((np.mean([run.value for run in runs]), low, high))


def test_a_mean_of_ratios_less_itself_is_nothing_and_not_significant() -> None:
    runs = [drawn(seed)["dominance_index"] for seed in range(3)]
    found = mean(runs).minus(mean(runs))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert not found.decided


def test_accuracy_is_the_share_of_rows_not_of_groups() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    nothing = np.zeros(4)
    judged = Judged(truth, predicted, truth >= 0, nothing, nothing, np.array([7, 7, 7, 2]), 10, {}, None, None)
    sums = accuracy_sums(judged)
    assert sums.value == 0.5
    assert sorted(sums.denominators.tolist()) == [1, 3]


def test_the_index_of_dominance_is_that_of_its_evaluation() -> None:
    rng = np.random.default_rng(0)
    movement = Movement(rng.random(30), rng.random(30), rng.integers(9, size=30))
    assert dominance_sums(movement).figure(seed=1) == movement.figures(seed=1)["index"]


def test_what_does_not_move_has_index_zero_and_no_interval() -> None:
    still = dominance_sums(Movement(np.zeros(3), np.zeros(3), np.arange(3)))
    assert still.value == 0
    assert (still.figure().value, still.figure().low) == (0, None)


def test_figures_of_other_clusters_are_not_subtracted() -> None:
    with pytest.raises(ValueError, match="same clusters"):
        Sums(np.ones(2), np.ones(2)).minus(Sums(np.ones(3), np.ones(3)))


def test_the_difference_of_ratios_in_plain_loops() -> None:
    ours, theirs = drawn(0)["dominance_index"], drawn(1)["dominance_index"]
    values = []
    for counts in np.concatenate(list(draws(30, RESAMPLES, 5))):
        shares = []
        for sums in (ours, theirs):
            over = sum(n * c for n, c in zip(sums.numerators, counts, strict=True))
            under = sum(n * c for n, c in zip(sums.denominators, counts, strict=True))
            shares.append(over / under)
        values.append(shares[0] - shares[1])
    low, high = np.quantile(values, [0.025, 0.975])
    found = ours.minus(theirs, seed=5)
    assert (found.value, found.low, found.high) == pytest.approx((ours.value - theirs.value, low, high))


def test_the_difference_of_ratios_whose_weights_are_doubled_is_that_of_sums() -> None:
    ours, theirs = drawn(0)["hit_at_1"], drawn(1)["hit_at_1"]
    found, wanted = Sums(2 * ours.numerators, 2 * ours.denominators).minus(theirs, 3), ours.minus(theirs, 3)
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_less_what_does_not_move_there_is_an_interval_and_no_nan() -> None:
    still = Sums(np.zeros(3), np.zeros(3))
    found = Sums(np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 0.0])).minus(still)
    assert found.value == pytest.approx(1 / 3)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_one_product_alone_has_no_interval() -> None:
    for name in ("macro_recall_at_10", "dominance_index"):
        assert drawn(0, 1)[name].minus(drawn(1, 1)[name]).low is None


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    wanted = retrieval_sums(random_metrics(120, 0), PRODUCTS) | {"accuracy": Sums(np.zeros(1), np.full(1, 3.0))}
    write_measured(tmp_path / "measured.parquet", wanted)
    found = read_measured(tmp_path / "measured.parquet")
    assert list(found) == list(wanted)
    for name, sums in wanted.items():
        np.testing.assert_array_equal(found[name].numerators, sums.numerators)
        np.testing.assert_array_equal(found[name].denominators, sums.denominators)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "measured.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ConfigError, match=r"measured\.parquet cannot be read.*remove it"):
        read_measured(tmp_path / "measured.parquet")


def test_figures_are_told_in_one_order() -> None:
    assert known(["dominance_index", "hit_at_1", "other"]) == ["hit_at_1", "dominance_index"]
    assert known(reversed(FIGURES)) == list(FIGURES)


def test_what_may_be_negative_is_written_with_its_sign() -> None:
    assert f"{0.25:{form('dominance_index')}} {0.25:{form('accuracy')}}" == "+0.250 0.250"
