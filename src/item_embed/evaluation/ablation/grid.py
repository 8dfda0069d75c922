"""The grid of an ablation: a YAML file that names axes, the points of each, and the seeds.

    config: tiny                          # a shipped configuration, or a file
    settings: {training.steps: 2000}      # of every run
    seeds: [0, 1, 2]                      # or how many: 3
    axes:
      objectives:                         # named points, each of any number of settings
        five tasks: {}
        no gmlm: {objectives.weights.gmlm: 0}
      patch mask rate: {key: objectives.patch_mask_rate, values: [0.25, 0.5, 0.75]}
    cross: false                          # true: every combination of the axes' points

A list of settings is an axis too; its points are named after what they set.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from item_embed.errors import ConfigError

#: Settings of a run by their whole names, such as `training.steps`.
Settings = dict[str, Any]

_EXAMPLE = "{objectives.patch_mask_rate: 0.25}"
_MOST_SEEDS = 100  # by a number alone: a larger one is meant to be the seed


@dataclass(frozen=True)
class Point:
    """One place on an axis.

    Attributes:
        label: its name in tables and plots.
        settings: what it sets; nothing at the base.
        value: the number that it stands for, on an axis of one setting with numbers.
    """

    label: str
    settings: Settings
    value: float | None = None


@dataclass(frozen=True)
class Axis:
    """What is varied together, with at least one point, no two of the same label."""

    name: str
    points: tuple[Point, ...]
    key: str | None = None

    @property
    def numeric(self) -> bool:
        """Whether its points are numbers of one setting."""
        return all(point.value is not None for point in self.points)


@dataclass(frozen=True)
class Grid:
    """What an ablation varies.

    Attributes:
        path: the file, for errors.
        config: name or file of the configuration that everything starts from.
        settings: of every run.
        seeds: of training; every point is run with each.
        axes: at least one, by name.
        cross: whether every combination of the axes' points is run, instead of one axis at a time.

    Examples:
        >>> [axis.name for axis in read_grid(Path("grid.yaml")).axes]  # doctest: +SKIP
        ['objectives', 'patch mask rate']
    """

    path: Path
    config: str
    settings: Settings
    seeds: tuple[int, ...]
    axes: tuple[Axis, ...]
    cross: bool


def _counted(seeds: Any) -> Any:
    """A number of seeds as the seeds from 0 on: 3 means 0, 1, 2."""
    if isinstance(seeds, list):
        return seeds
    if type(seeds) is int and 1 <= seeds <= _MOST_SEEDS:  # true is an int, too
        return list(range(seeds))
    raise ValueError(f"write how many, 1 to {_MOST_SEEDS}, or a list of them such as [0, 1, 2]")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    config: str = "tiny"
    settings: dict[str, Any] | None = None
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_counted)] = Field([0], min_length=1)
    axes: dict[Any, Any] = Field(min_length=1)
    cross: bool = False


def read_grid(path: Path) -> Grid:
    """Read and check a grid.

    A configuration file is looked for beside the grid first, then where the command runs.

    Raises:
        ConfigError: naming the file, the axis and the point, and what is wrong with it.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf8"), _UniqueKeys)
    except OSError as error:
        raise ConfigError(f"the grid {path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_yaml_reason(error)}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is no grid: it has to hold a mapping of config, settings, seeds, axes and cross.")
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_reason(error)}.") from None
    if repeated := [seed for seed, times in Counter(file.seeds).items() if times > 1]:
        raise ConfigError(f"{path}: the seed {repeated[0]} is given twice; give each once.")
    beside = path.parent / file.config
    return Grid(
        path=path,
        config=str(beside) if beside.is_file() else file.config,
        settings=_flat(file.settings or {}, f"{path}, settings"),
        seeds=tuple(file.seeds),
        axes=tuple(_axis(path, name, given) for name, given in file.axes.items()),
        cross=file.cross,
    )


def _axis(path: Path, name: Any, given: Any) -> Axis:
    where = f"{path}, axis {_name(name, str(path))!r}"
    key = None
    if isinstance(given, dict) and isinstance(given.get("key"), str) and "values" in given:
        points, key = _values(given, where), given["key"]
    elif isinstance(given, dict):
        points = [_point(_name(label, where), settings, where) for label, settings in given.items()]
    elif isinstance(given, list):
        points = [_point(None, settings, where) for settings in given]
    else:
        raise ConfigError(f"{where}: write its points as a mapping, a list of settings, or {{key: …, values: […]}}.")
    if not points:
        raise ConfigError(f"{where} has no points; give it at least one.")
    if repeated := [label for label, times in Counter(p.label for p in points).items() if times > 1]:
        raise ConfigError(f"{where} has {repeated[0]!r} twice; give each point once.")
    return Axis(str(name), tuple(points), key)


def _values(given: Mapping[str, Any], where: str) -> list[Point]:
    if extra := [str(name) for name in given if name not in ("key", "values")]:
        raise ConfigError(f"{where}: beside key and values there is {extra[0]!r}; leave it out.")
    if not isinstance(given["values"], list):
        raise ConfigError(f"{where}: values is {given['values']!r}; give a list of them.")
    return [Point(_label(value), _flat({given["key"]: value}, where), _number(value)) for value in given["values"]]


def _point(label: str | None, settings: Any, where: str) -> Point:
    at = where if label is None else f"{where}, point {label!r}"
    if settings is not None and not isinstance(settings, dict):
        raise ConfigError(f"{at}: {settings!r} is no mapping of settings; write it as {_EXAMPLE}.")
    flat = _flat(settings or {}, at)
    named = ", ".join(f"{key.rpartition('.')[2]} {_label(value)}" for key, value in flat.items())
    return Point(label or named or "base", flat)


def _flat(settings: Mapping[Any, Any], where: str, prefix: str = "") -> Settings:
    """Nested groups of settings by their whole names; groups that are written out replace no others."""
    flat: Settings = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        found = _flat(value, where, f"{key}.") if isinstance(value, dict) else {key: value}
        if twice := flat.keys() & found.keys():
            raise ConfigError(f"{where}: {min(twice)} is set twice; set it once.")
        flat |= found
    if not prefix and "training.seed" in flat:
        raise ConfigError(f"{where}: training.seed is set; name it under seeds, which every point is run with.")
    return flat


def _name(given: Any, where: str) -> str:
    """The name of an axis or a point. YAML reads a bare `no` as false, which nobody means."""
    if given is None or isinstance(given, bool):
        word = {None: "null", True: "true", False: "false"}[given]
        raise ConfigError(f"{where}: YAML reads a name there as {word}; put it into quotes.")
    return str(given)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _number(value: Any) -> float | None:
    """YAML 1.1 reads 5e-4 as a text; people mean the number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML keeps the last without a word: a point would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _yaml_reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0]


def _reason(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"there is no {where} in a grid; it has config, settings, seeds, axes and cross"
    if problem["type"] == "missing":
        return f"{where} is missing; name what is to be varied"
    if problem["type"] == "too_short":
        return f"{where} is empty; give at least one"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r})"
