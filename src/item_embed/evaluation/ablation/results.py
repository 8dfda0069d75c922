"""What the runs of an ablation came to: each point's figures over its runs, and paired differences from the base's.

A figure of a point is the mean over its runs, with the 95 % interval over products (or groups of labelled rows) of that
mean, and with each run's own. The interval says how far other products might have moved it, the runs how far other
seeds do.
"""

import json
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.plan import AxisRuns, Plan, PointRuns, Run
from item_embed.evaluation.ablation.running import FAILED, MEASURED, Ablation
from item_embed.evaluation.measured import Measured, read_measured
from item_embed.evaluation.spread import Spread, differences, figures


@dataclass(frozen=True)
class Made:
    """A run that was trained and measured.

    Attributes:
        measured: its figures.
        parameters: of the encoder, without heads.
        samples: pairs seen in training.
        minutes: of training, by the clock on the wall.
        cpu_minutes: of training, all threads.
    """

    measured: Measured
    parameters: int
    samples: int
    minutes: float
    cpu_minutes: float


@dataclass(frozen=True)
class PointResult:
    """What is known of a point.

    Attributes:
        label: its name.
        value: the number that it stands for, if any.
        planned: how many runs it is to have.
        failed: how many of them failed when they were last tried.
        made: those that are measured, in the plan's order.
        figures: by their names in `measured.FIGURES`; empty before a run is measured.
        minus_base: paired differences from the base point, over the runs that both have; empty for the base itself.
    """

    label: str
    value: float | None
    planned: int
    failed: int = 0
    made: tuple[Made, ...] = ()
    figures: Mapping[str, Spread] = field(default_factory=dict)
    minus_base: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[int, ...]:
        """The sizes of its runs, without repetition; several where a crossed axis changes them."""
        return tuple(sorted({made.parameters for made in self.made}))

    @property
    def samples(self) -> tuple[int, ...]:
        """The pairs seen by its runs, without repetition."""
        return tuple(sorted({made.samples for made in self.made}))

    @property
    def minutes(self) -> float:
        """Of training, the mean over its runs."""
        return fmean(made.minutes for made in self.made)


@dataclass(frozen=True)
class AxisResult:
    """What is known of an axis; see `plan.AxisRuns`."""

    title: str
    points: tuple[PointResult, ...]
    base: int
    key: str | None = None


@dataclass(frozen=True)
class AblationResult:
    """What is known of an ablation.

    Attributes:
        axes: in the grid's order.
        made: how many runs are measured.
        planned: how many there are to be.
        failures: the runs that failed when they were last tried, and why.
    """

    axes: tuple[AxisResult, ...]
    made: int
    planned: int
    failures: tuple[tuple[Run, str], ...] = ()


def gather(ablation: Ablation, plan: Plan, seed: int = 0) -> AblationResult:
    """What is there, without training or measuring anything.

    Args:
        ablation: its folder.
        plan: of the grid.
        seed: of the intervals.

    Raises:
        ConfigError: when a file of a run is damaged.

    Examples:
        >>> found = gather(ablation, plan)                                           # doctest: +SKIP
        >>> found.axes[0].points[1].minus_base["macro_recall_at_10"].figure.text()   # doctest: +SKIP
        '-0.021 [-0.034, -0.008]'
    """
    made: dict[str, Made] = {}
    failures = []
    for run in plan.runs:
        folder = ablation.folder(run)
        if (found := read_made(folder)) is not None:
            made[run.name] = found
        elif (reason := read_failure(folder)) is not None:
            failures.append((run, reason))
    failed = {run.name for run, _ in failures}
    axes = tuple(axis_result(axis, made, failed, seed) for axis in plan.axes)
    return AblationResult(axes, len(made), len(plan.runs), tuple(failures))


def axis_result(axis: AxisRuns, made: Mapping[str, Made], failed: Collection[str] = (), seed: int = 0) -> AxisResult:
    """The points of an axis, by what is made of its runs and which of them failed, both by name."""
    base = _made(axis.points[axis.base], made)

    def result(number: int, point: PointRuns) -> PointResult:
        runs = _made(point, made)
        both = [key for key in runs if key in base] if number != axis.base else []
        return PointResult(
            label=point.label,
            value=point.value,
            planned=len(point.runs),
            failed=sum(run.name in failed for run in point.runs.values()),
            made=tuple(runs.values()),
            figures=figures([one.measured for one in runs.values()], seed),
            minus_base=differences([runs[key].measured for key in both], [base[key].measured for key in both], seed),
        )

    points = tuple(result(number, point) for number, point in enumerate(axis.points))
    return AxisResult(axis.title, points, axis.base, axis.key)


def read_made(folder: Path) -> Made | None:
    """What a run's folder holds; None before it is measured.

    Raises:
        ConfigError: when it is damaged.
    """
    file = folder / MEASURED
    if not file.is_file():
        return None
    try:
        done = json.loads((folder / "done.json").read_text(encoding="utf8"))
        return Made(read_measured(file), **done)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{folder} cannot be read ({error}); remove it, and the run is made again.") from None


def read_failure(folder: Path) -> str | None:
    """Why a run failed when it was last tried; None where it did not."""
    try:
        return str(json.loads((folder / FAILED).read_text(encoding="utf8"))["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return "its reason cannot be read"


def _made(point: PointRuns, made: Mapping[str, Made]) -> dict[Hashable, Made]:
    return {key: made[run.name] for key, run in point.runs.items() if run.name in made}
