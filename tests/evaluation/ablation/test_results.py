from collections.abc import Mapping

from item_embed.config import RunConfig
from item_embed.evaluation.ablation.plan import AxisRuns, PointRuns, Run
from item_embed.evaluation.ablation.results import Made, axis_result
from item_embed.evaluation.spread import differences, figures
from tests.evaluation.sums import drawn

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
