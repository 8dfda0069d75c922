from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.config import RunConfig
from item_embed.evaluation.ablation.plan import AxisRuns, PointRuns, Run
from item_embed.evaluation.ablation.results import Made, axis_result, differences, figures, ratio_difference
from item_embed.evaluation.intervals import RESAMPLES, draws
from item_embed.evaluation.measured import Sums, mean

CLUSTERS = 30


def drawn(seed: int, clusters: int = CLUSTERS) -> dict[str, Sums]:
    """Three figures over products, one over groups of rows, and one with weights of its own."""
    rng = np.random.default_rng(seed)
    queries = np.arange(clusters, dtype=np.float64) % 3 + 1
    moved = rng.random((2, clusters))
    return {
        "hit_at_1": Sums(rng.integers(0, queries.astype(np.int64) + 1).astype(np.float64), queries),
        "macro_recall_at_10": Sums(rng.random(clusters), np.ones(clusters)),
        "accuracy": Sums(rng.integers(0, 2, 7).astype(np.float64), np.ones(7)),
        "dominance_index": Sums(moved[0] - moved[1], moved[0] + moved[1]),
    }


@given(st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=10)
def test_a_figure_is_the_mean_with_its_own_interval(runs: int, seed: int) -> None:
    measured = [drawn(number) for number in range(runs)]
    found = figures(measured, seed)
    assert list(found) == ["hit_at_1", "macro_recall_at_10", "accuracy", "dominance_index"]
    for name, spread in found.items():
        wanted = mean([one[name] for one in measured]).figure(seed)
        got = spread.figure
        assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        assert spread.each == tuple(one[name].value for one in measured)


@given(st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=10)
def test_a_difference_is_that_of_the_means_paired(runs: int, seed: int) -> None:
    ours, base = [drawn(number) for number in range(runs)], [drawn(100 + number) for number in range(runs)]
    found = differences(ours, base, seed)
    for name in ("hit_at_1", "macro_recall_at_10", "accuracy"):
        wanted = mean([one[name] for one in ours]).minus(mean([one[name] for one in base]), seed)
        got = found[name].figure
        assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
    for name, spread in found.items():
        assert spread.each == pytest.approx([a[name].value - b[name].value for a, b in zip(ours, base, strict=True)])


def test_the_difference_of_ratios_in_plain_loops() -> None:
    ours, theirs = drawn(0)["dominance_index"], drawn(1)["dominance_index"]
    values = []
    for counts in np.concatenate(list(draws(CLUSTERS, RESAMPLES, 5))):
        ratios = []
        for sums in (ours, theirs):
            over = sum(n * c for n, c in zip(sums.numerators, counts, strict=True))
            under = sum(n * c for n, c in zip(sums.denominators, counts, strict=True))
            ratios.append(over / under)
        values.append(ratios[0] - ratios[1])
    low, high = np.quantile(values, [0.025, 0.975])
    found = ratio_difference(ours, theirs, seed=5)
    assert (found.value, found.low, found.high) == pytest.approx((ours.value - theirs.value, low, high))


def test_the_difference_of_ratios_of_equal_weights_is_that_of_sums() -> None:
    ours, theirs = drawn(0)["hit_at_1"], drawn(1)["hit_at_1"]
    found, wanted = ratio_difference(ours, theirs, 3), ours.minus(theirs, 3)
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_where_nothing_moves_there_is_no_interval_and_no_nan() -> None:
    still = Sums(np.zeros(3), np.zeros(3))
    moved = Sums(np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 0.0]))
    assert figures([{"dominance_index": still}])["dominance_index"].figure.low is None
    found = differences([{"dominance_index": moved}], [{"dominance_index": still}])["dominance_index"].figure
    assert found.value == pytest.approx(1 / 3)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_one_product_has_no_interval_and_decides_nothing() -> None:
    spread = differences([drawn(0, 1)], [drawn(1, 1)])["macro_recall_at_10"]
    assert spread.figure.low is None
    assert not spread.decided
    assert differences([drawn(0, 1)], [drawn(1, 1)])["dominance_index"].figure.low is None


def test_a_difference_is_decided_where_its_interval_leaves_0_out() -> None:
    low, high = ({"macro_recall_at_10": Sums(np.full(20, value), np.ones(20))} for value in (0.2, 0.7))
    assert differences([high], [low])["macro_recall_at_10"].decided
    assert differences([low], [high])["macro_recall_at_10"].decided
    assert not differences([low], [low])["macro_recall_at_10"].decided


def test_only_what_all_runs_have_is_told() -> None:
    whole = drawn(0)
    without = {name: sums for name, sums in drawn(1).items() if name != "accuracy"}
    assert "accuracy" not in figures([whole, without])
    assert "accuracy" not in differences([whole], [without])
    assert figures([]) == {}
    assert differences([], []) == {}


CONFIG = RunConfig.load("tiny")


def runs_of(name: str, seeds: int) -> PointRuns:
    return PointRuns(name, {seed: Run(name, f"{name} {seed}", CONFIG) for seed in range(seeds)})


def made(seed: int, minutes: float = 1.0) -> Made:
    return Made(drawn(seed), parameters=10, samples=20, minutes=minutes, cpu_minutes=1.0)


AXIS = AxisRuns("axis", (runs_of("other", 3), runs_of("base", 3), runs_of("none", 3)), base=1)


def test_points_are_compared_over_the_seeds_that_both_have() -> None:
    done: Mapping[str, Made] = {
        "other 0": made(0, 2.0),
        "other 2": made(2, 4.0),
        "base 0": made(10),
        "base 1": made(11),
        "base 2": made(12),
    }
    found = axis_result(AXIS, done, failed={"other 1", "none 0"})
    other, base, none = found.points
    assert (len(other.made), other.planned, other.failed) == (2, 3, 1)
    assert other.minutes == 3.0
    assert other.figures == figures([drawn(0), drawn(2)])
    assert base.figures == figures([drawn(10), drawn(11), drawn(12)])
    assert other.minus_base == differences([drawn(0), drawn(2)], [drawn(10), drawn(12)])
    assert base.minus_base == {}
    assert (none.made, none.figures, none.minus_base, none.failed) == ((), {}, {}, 1)


def test_without_a_base_there_are_figures_and_no_differences() -> None:
    found = axis_result(AXIS, {"other 0": made(0)})
    assert found.points[0].figures
    assert not found.points[0].minus_base
