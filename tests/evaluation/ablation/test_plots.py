import re

import numpy as np
import pytest

from item_embed.evaluation.ablation.plan import AxisRuns
from item_embed.evaluation.ablation.plots import axis_plots
from item_embed.evaluation.ablation.results import Made, axis_result
from item_embed.evaluation.measured import Sums
from tests.evaluation.ablation.found import MADE, NAMED, NUMBERS


@pytest.mark.parametrize("axis_runs", [NAMED, NUMBERS])
def test_there_is_a_plot_for_each_figure(axis_runs: AxisRuns) -> None:
    plots = axis_plots(axis_result(axis_runs, MADE))
    assert [re.findall("macro recall@10|dominance index", svg) for svg in plots] == [
        ["macro recall@10"],
        ["dominance index"],
    ]
    for svg in plots:
        assert svg.startswith("<svg")
        assert "all" in svg
        assert "currentColor" in svg
        assert ("some.key" in svg) == (axis_runs is NUMBERS)
    assert plots == axis_plots(axis_result(axis_runs, MADE))


def test_a_plot_of_one_value_without_an_interval() -> None:
    lone = Made({"hit_at_1": Sums(np.zeros(1), np.ones(1))}, 1, 1, 0.0, 0.0)
    for axis_runs in (NAMED, NUMBERS):
        [svg] = axis_plots(axis_result(axis_runs, {"all 0": lone}))
        assert "hit@1" in svg


def test_nothing_made_is_no_plot() -> None:
    assert axis_plots(axis_result(NAMED, {})) == []
