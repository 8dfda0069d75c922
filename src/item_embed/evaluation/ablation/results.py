"""What the runs of an ablation came to: each point's figures over its runs, and paired differences from the base's.

A figure of a point is the mean over its runs, with the 95 % interval over products (or groups of labelled rows) of that
mean, and with each run's own. The interval says how far other products might have moved it, the runs how far other
seeds do.
"""

import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.plan import AxisRuns, Plan, PointRuns, Run
from item_embed.evaluation.ablation.running import Ablation
from item_embed.evaluation.intervals import RESAMPLES, Figure, draws, ratios
from item_embed.evaluation.measured import Measured, Sums, known, mean, read_measured


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
class Spread:
    """A figure over several runs.

    Attributes:
        figure: the mean with its interval.
        each: by run, in the order of the runs.
    """

    figure: Figure
    each: tuple[float, ...]

    @property
    def decided(self) -> bool:
        """Whether, of a difference, the interval leaves 0 out."""
        low, high = self.figure.low, self.figure.high
        return low is not None and high is not None and not low <= 0 <= high


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

    Example:
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


def figures(runs: Sequence[Measured], seed: int = 0) -> dict[str, Spread]:
    """Each figure that all of the runs have: its mean, and each run's own."""
    means = {name: mean([run[name] for run in runs]) for name in _shared(runs)}
    intervals = _figures(means, seed)
    return {name: Spread(intervals[name], tuple(run[name].value for run in runs)) for name in means}


def differences(runs: Sequence[Measured], base: Sequence[Measured], seed: int = 0) -> dict[str, Spread]:
    """How far each figure of the runs lies above that of as many others of the same clusters, in pairs.

    The same products are resampled in both, so what they share cancels out.
    """
    found = {}
    linear: dict[str, Sums] = {}
    for name in _shared([*runs, *base]):
        ours, theirs = mean([run[name] for run in runs]), mean([run[name] for run in base])
        if np.array_equal(ours.denominators, theirs.denominators):
            linear[name] = Sums(ours.numerators - theirs.numerators, ours.denominators)
        else:
            found[name] = ratio_difference(ours, theirs, seed)
    found |= _figures(linear, seed)
    return {
        name: Spread(found[name], tuple(a[name].value - b[name].value for a, b in zip(runs, base, strict=True)))
        for name in known(found)
    }


def ratio_difference(ours: Sums, theirs: Sums, seed: int = 0) -> Figure:
    """The difference of two figures of the same clusters with weights of their own, as the dominance index has them.

    Both are computed anew of every resample.
    """
    value, clusters = ours.value - theirs.value, len(ours.numerators)
    if clusters < 2:
        return Figure(value, None, None, "too few to resample for an interval")
    columns = np.stack([ours.numerators, ours.denominators, theirs.numerators, theirs.denominators], axis=1)
    totals = np.concatenate([counts @ columns for counts in draws(clusters, RESAMPLES, seed)])
    shares = np.divide(totals[:, ::2], totals[:, 1::2], out=np.zeros((len(totals), 2)), where=totals[:, 1::2] > 0)
    low, high = np.quantile(shares[:, 0] - shares[:, 1], [0.025, 0.975])
    return Figure(value, float(low), float(high))


def read_made(folder: Path) -> Made | None:
    """What a run's folder holds; None before it is measured.

    Raises:
        ConfigError: when it is damaged.
    """
    file = folder / "measured.parquet"
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
        return str(json.loads((folder / "failed.json").read_text(encoding="utf8"))["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return "its reason cannot be read"


def _made(point: PointRuns, made: Mapping[str, Made]) -> dict[Hashable, Made]:
    return {key: made[run.name] for key, run in point.runs.items() if run.name in made}


def _shared(runs: Sequence[Measured]) -> list[str]:
    return known(set.intersection(*(set(run) for run in runs))) if runs else []


def _figures(sums: Mapping[str, Sums], seed: int) -> dict[str, Figure]:
    """`Sums.figure` of each, with one draw for all that have as many clusters: equal seeds draw equal resamples."""
    found = {}
    alike: dict[int, list[str]] = {}
    for name, one in sums.items():
        if one.denominators.any():
            alike.setdefault(len(one.numerators), []).append(name)
        else:
            found[name] = one.figure(seed)
    for names in alike.values():
        numerators = np.stack([sums[name].numerators for name in names], axis=1)
        denominators = np.stack([sums[name].denominators for name in names], axis=1)
        found |= dict(zip(names, ratios(numerators, denominators, seed=seed), strict=True))
    return found
