"""From a grid to runs: every configuration once, and which runs stand behind each point of each axis."""

import itertools
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from item_embed.config import RunConfig
from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.grid import Axis, Grid, Point, Settings
from item_embed.evaluation.learners.learner import BESIDE_THE_RESULT
from item_embed.hashing import text_hash

_SLUG = 48  # most letters of a folder's name before seed and hash
_BASE = "base"


@dataclass(frozen=True)
class Run:
    """A pre-training run.

    Attributes:
        label: what it is, without its seed.
        name: of its folder; equal for equal configurations, whatever the grid calls them.
        config: everything that decides it.
    """

    label: str
    name: str
    config: RunConfig

    @property
    def seed(self) -> int:
        """Of training."""
        return self.config.training.seed


@dataclass(frozen=True)
class PointRuns:
    """The runs that one point of an axis is judged by.

    Attributes:
        label: of the point.
        runs: by what tells them apart: the seed, and in a crossed grid the points of the other axes. Two points are
            compared run by run, by equal keys.
        value: the number that the point stands for, if any.
    """

    label: str
    runs: Mapping[Hashable, Run]
    value: float | None = None


@dataclass(frozen=True)
class AxisRuns:
    """An axis with its runs: what becomes one table and one plot.

    Attributes:
        title: the axis's name.
        points: in the grid's order.
        base: the number of the point that others are compared with: the configuration as it is, or else the first.
        key: the setting whose numbers the points are; None where they are names.
    """

    title: str
    points: tuple[PointRuns, ...]
    base: int
    key: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be run, first all points with the first seed, then with the next; and how runs are compared."""

    runs: tuple[Run, ...]
    axes: tuple[AxisRuns, ...]


def make_plan(grid: Grid) -> Plan:
    """Every run of a grid once, however many of its axes have it.

    One axis is varied at a time, the other settings staying as they are; in a crossed grid every combination is run,
    a point of an axis is judged by all combinations that have it, and one table more compares the combinations.

    Raises:
        ConfigError: when a run's configuration refuses a value, two points of an axis make the same run, or crossed
            axes set the same thing.

    Examples:
        >>> plan = make_plan(read_grid(Path("grid.yaml")))  # doctest: +SKIP
        >>> plan.runs[0].name                               # doctest: +SKIP
        'base-seed0-5f0c1a9e'
    """
    runs = _Runs(grid)
    bases = {axis.name: _base(runs, axis) for axis in grid.axes}
    if grid.cross:
        axes = _crossed(grid, runs, bases)
    else:
        axes = [
            _compared(
                axis,
                [{seed: runs.of({axis.name: point}, seed) for seed in grid.seeds} for point in axis.points],
                bases[axis.name],
            )
            for axis in grid.axes
        ]
    return Plan(tuple(sorted(runs.made.values(), key=lambda run: grid.seeds.index(run.seed))), tuple(axes))


def run_hash(config: RunConfig) -> str:
    """Eight hexadecimal digits, equal for equal configurations; settings that leave the model as it is do not count.

    Those at their defaults do not either, so that a setting that comes later leaves runs that were made before it.
    """
    settings = config.model_dump(mode="json", exclude={"training": BESIDE_THE_RESULT}, exclude_defaults=True)
    settings = {heading: values for heading, values in settings.items() if values}
    return f"{text_hash(json.dumps(settings, sort_keys=True)):016x}"[-8:]


class _Runs:
    """The runs of a grid by the hash of their configuration; the base's label wins, then the first."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.made: dict[str, Run] = {}
        self._base = {seed: run_hash(self._load({}, seed)) for seed in grid.seeds}

    def of(self, points: Mapping[str, Point], seed: int) -> Run:
        """The run with these points of these axes."""
        config = self._load(points, seed)
        found = run_hash(config)
        if found not in self.made:
            parts = [f"{axis} {point.label}" for axis, point in points.items()]
            label = _BASE if found == self._base[seed] else ", ".join(parts)
            self.made[found] = Run(label, f"{_slug(label)}-seed{seed}-{found}", config)
        return self.made[found]

    def hash_of(self, axis: Axis, point: Point) -> str:
        """What tells a point from the others of its axis."""
        return run_hash(self._load({axis.name: point}, self.grid.seeds[0]))

    def is_base(self, found: str) -> bool:
        """Whether a hash is that of the configuration as it is, with the first seed."""
        return found == self._base[self.grid.seeds[0]]

    def _load(self, points: Mapping[str, Point], seed: int) -> RunConfig:
        grid = self.grid
        settings: Settings = {**grid.settings, **{k: v for p in points.values() for k, v in p.settings.items()}}
        overrides = [
            f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
            for key, value in settings.items()
        ]
        try:
            return RunConfig.load(grid.config, [*overrides, f"training.seed={seed}"])
        except ConfigError as error:
            where = ", ".join(f"axis {axis!r}, point {point.label!r}" for axis, point in points.items())
            raise ConfigError(f"{grid.path}, {where or 'settings'}: {error}") from None


def _base(runs: _Runs, axis: Axis) -> int:
    """The number of an axis's base point, after checking that no two points are the same."""
    hashes = [runs.hash_of(axis, point) for point in axis.points]
    for number, found in enumerate(hashes):
        if (first := hashes.index(found)) != number:
            one, other = axis.points[first].label, axis.points[number].label
            raise ConfigError(
                f"{runs.grid.path}, axis {axis.name!r}: the points {one!r} and {other!r} make the same model; leave "
                "one of them out."
            )
    return next((number for number, found in enumerate(hashes) if runs.is_base(found)), 0)


def _compared(axis: Axis, runs: Sequence[Mapping[Hashable, Run]], base: int) -> AxisRuns:
    points = zip(axis.points, runs, strict=True)
    return AxisRuns(
        title=axis.name,
        points=tuple(PointRuns(point.label, found, point.value) for point, found in points),
        base=base,
        key=axis.key if axis.numeric else None,
    )


def _crossed(grid: Grid, runs: _Runs, bases: Mapping[str, int]) -> list[AxisRuns]:
    _refuse_overlap(grid)
    combinations: list[tuple[dict[str, Point], dict[Hashable, Run]]] = [
        (combination, {seed: runs.of(combination, seed) for seed in grid.seeds}) for combination in _combinations(grid)
    ]
    axes = []
    for axis in grid.axes:
        behind: list[dict[Hashable, Run]] = []
        for point in axis.points:
            chosen = [(c, found) for c, found in combinations if c[axis.name] is point]
            behind.append(
                {
                    (*(other.label for name, other in c.items() if name != axis.name), seed): run
                    for c, found in chosen
                    for seed, run in found.items()
                }
            )
        axes.append(_compared(axis, behind, bases[axis.name]))
    if len(grid.axes) > 1:
        own = [axis.points[bases[axis.name]] for axis in grid.axes]
        points = tuple(PointRuns(", ".join(p.label for p in c.values()), found) for c, found in combinations)
        base = next(number for number, (c, _) in enumerate(combinations) if list(c.values()) == own)
        axes.append(AxisRuns(" x ".join(axis.name for axis in grid.axes), points, base))
    return axes


def _combinations(grid: Grid) -> Iterator[dict[str, Point]]:
    for points in itertools.product(*(axis.points for axis in grid.axes)):
        yield {axis.name: point for axis, point in zip(grid.axes, points, strict=True)}


def _refuse_overlap(grid: Grid) -> None:
    for one, other in itertools.combinations(grid.axes, 2):
        keys = [{key for point in axis.points for key in point.settings} for axis in (one, other)]
        if both := keys[0] & keys[1]:
            raise ConfigError(
                f"{grid.path}: the axes {one.name!r} and {other.name!r} both set {min(both)}, so they cannot be "
                "crossed; set it in one of them."
            )


def _slug(label: str) -> str:
    """A label as part of a file name: letters of any script, digits, dots."""
    return re.sub(r"[^\w.]+", "-", label.lower())[:_SLUG].strip("-._") or "run"
