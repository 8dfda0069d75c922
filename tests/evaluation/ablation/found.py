"""Runs that were never trained, with figures that are known, on an axis of names and on one of numbers."""

import numpy as np

from item_embed.config import RunConfig
from item_embed.evaluation.ablation.plan import AxisRuns, PointRuns, Run
from item_embed.evaluation.ablation.results import Made
from item_embed.evaluation.ablation.running import About
from item_embed.evaluation.measured import Sums

CONFIG = RunConfig.load("tiny")
ABOUT = About("shop/catalog", "given", 400, 1000, 50, ("A remark.",))


def made(recall: float, index: float, parameters: int = 1_500_000) -> Made:
    """A run with these figures; products differ, but in every run alike."""
    shift = np.linspace(-0.1, 0.1, 40)
    measured = {
        "macro_recall_at_10": Sums(recall + shift, np.ones(40)),
        "dominance_index": Sums(np.full(40, index), np.ones(40)),
    }
    return Made(measured, parameters, samples=512_000, minutes=12.25, cpu_minutes=11.0)


def runs(label: str, seeds: int, value: float | None = None) -> PointRuns:
    return PointRuns(label, {seed: Run(label, f"{label} {seed}", CONFIG) for seed in range(seeds)}, value)


MADE = {
    "all 0": made(0.40, 0.1),
    "all 1": made(0.44, 0.2),
    "less|<one> 0": made(0.30, -0.1),
    "less|<one> 1": made(0.31, 0.2),
    "equal 0": made(0.40, 0.1),
}
NAMED = AxisRuns("tasks", (runs("all", 2), runs("less|<one>", 2), runs("equal", 2), runs("none", 2)), base=0)
NUMBERS = AxisRuns("rate", (runs("all", 2, 0.5), runs("less|<one>", 2, 0.02), runs("equal", 1, 5.0)), 0, "some.key")
