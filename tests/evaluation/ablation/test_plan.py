import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.config import RunConfig
from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.grid import Axis, Grid, Point, read_grid
from item_embed.evaluation.ablation.plan import Plan, make_plan, run_hash

#: Settings with some values each; the first is that of `tiny`.
VALUES: dict[str, list[Any]] = {
    "objectives.patch_mask_rate": [0.5, 0.25, 0.75],
    "objectives.token_mask_rate": [0.4, 0.15],
    "model.hidden_size": [128, 64, 32],
    "objectives.patch_masking": ["keep", "drop"],
}


def axis(key: str, values: list[Any]) -> Axis:
    return Axis(key, tuple(Point(str(value), {key: value}) for value in values), key)


def grid(*axes: Axis, seeds: tuple[int, ...] = (0,), cross: bool = False, shared: dict[str, Any] | None = None) -> Grid:
    return Grid(Path("grid.yaml"), "tiny", shared or {}, seeds, axes, cross)


AXES = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda key: st.lists(st.sampled_from(VALUES[key]), min_size=1, unique=True).map(lambda some: axis(key, some))
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.name,
)
SEEDS = st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(tuple)


def setting(config: RunConfig, key: str) -> Any:
    group, name = key.split(".")
    return getattr(getattr(config, group), name)


@given(AXES, SEEDS)
@settings(max_examples=12)
def test_one_axis_at_a_time_runs_each_point_with_each_seed(axes: list[Axis], seeds: tuple[int, ...]) -> None:
    plan = make_plan(grid(*axes, seeds=seeds))
    wanted = {(a.name, p.settings[a.name]) for a in axes for p in a.points if p.settings[a.name] != VALUES[a.name][0]}
    has_base = any(VALUES[a.name][0] in [p.settings[a.name] for p in a.points] for a in axes)
    assert len(plan.runs) == (len(wanted) + has_base) * len(seeds)
    assert len({run.name for run in plan.runs}) == len(plan.runs)
    for given_axis, found in zip(axes, plan.axes, strict=True):
        for point, runs in zip(given_axis.points, found.points, strict=True):
            assert list(runs.runs) == list(seeds)
            for seed, run in runs.runs.items():
                assert run in plan.runs
                assert run.seed == seed
                changed = {given_axis.name: point.settings[given_axis.name]}
                assert all(setting(run.config, key) == changed.get(key, VALUES[key][0]) for key in VALUES)


@given(AXES, SEEDS)
@settings(max_examples=12)
def test_a_crossed_grid_runs_every_combination(axes: list[Axis], seeds: tuple[int, ...]) -> None:
    plan = make_plan(grid(*axes, seeds=seeds, cross=True))
    values = [[point.settings[a.name] for point in a.points] for a in axes]
    wanted = {(*combination, seed) for *combination, seed in itertools.product(*values, seeds)}
    found = {(*(setting(run.config, a.name) for a in axes), run.seed) for run in plan.runs}
    assert found == wanted
    assert len(plan.runs) == len(wanted)
    for number, given_axis in enumerate(axes):
        for point, runs in zip(given_axis.points, plan.axes[number].points, strict=True):
            value = point.settings[given_axis.name]
            assert len(runs.runs) == len(wanted) / len(given_axis.points)
            assert all(setting(run.config, given_axis.name) == value for run in runs.runs.values())
        keys = [set(runs.runs) for runs in plan.axes[number].points]
        assert all(one == keys[0] for one in keys)  # so that points can be compared run by run
    assert len(plan.axes) == len(axes) + (len(axes) > 1)


def test_runs_with_the_first_seed_come_first() -> None:
    plan = make_plan(grid(axis("model.hidden_size", [128, 64]), seeds=(7, 3)))
    assert [(run.label, run.seed) for run in plan.runs] == [
        ("base", 7),
        ("model.hidden_size 64", 7),
        ("base", 3),
        ("model.hidden_size 64", 3),
    ]


def test_the_base_is_the_configuration_as_it_is_or_else_the_first_point() -> None:
    rate, size = axis("objectives.patch_mask_rate", [0.25, 0.5]), axis("model.hidden_size", [64, 32])
    assert [found.base for found in make_plan(grid(rate, size)).axes] == [1, 0]
    crossed = make_plan(grid(rate, size, cross=True))
    assert crossed.axes[2].points[crossed.axes[2].base].label == "0.5, 64"
    changed = make_plan(grid(rate, size, shared={"objectives.patch_mask_rate": 0.25}))
    assert [found.base for found in changed.axes] == [0, 0]


def names(plan: Plan) -> dict[str, str]:
    """The hash at a folder's end by what is trained there."""
    return {run.config.model_dump_json(): run.name.rpartition("-")[2] for run in plan.runs}


def test_a_run_keeps_its_hash_whatever_the_grid_calls_it() -> None:
    rate, size = axis("objectives.patch_mask_rate", [0.25, 0.5]), axis("model.hidden_size", [64, 32])
    other = Axis("rates", tuple(Point(f"many {p.label}", p.settings) for p in reversed(rate.points)))
    one, two = make_plan(grid(rate, size, seeds=(0, 1))), make_plan(grid(size, other, seeds=(1, 2, 0)))
    shared = names(one).keys() & names(two).keys()
    assert len(shared) == len(one.runs)
    assert all(names(one)[key] == names(two)[key] for key in shared)
    assert {run.name for run in one.runs} != {run.name for run in two.runs}


def test_only_what_decides_the_model_is_hashed() -> None:
    config = RunConfig.load("tiny")
    for beside in ("log_every=7", "validate_every=3", "checkpoint_every=9", "workers=2", "pixel_cache_mb=0"):
        assert run_hash(RunConfig.load("tiny", [f"training.{beside}"])) == run_hash(config)
    bare = RunConfig()  # which sets nothing else under `training`
    log_often = bare.model_copy(update={"training": bare.training.model_copy(update={"log_every": 7})})
    assert run_hash(log_often) == run_hash(bare)
    for decides in ("training.seed=1", "training.steps=2001", "training.accumulation=2", "augmentation.mirror=0.5"):
        assert run_hash(RunConfig.load("tiny", [decides])) != run_hash(config)


def test_a_setting_that_comes_later_leaves_the_hashes_of_runs_made_before_it() -> None:
    config = RunConfig.model_validate({"model": {"hidden_size": 384}, "training": {"seed": 3, "log_every": 7}})
    assert run_hash(config) == "dd98315f"  # of `hidden_size` and `seed`: change it and runs are trained anew


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("no GMLM, no GMIM", "axis-no-gmlm-no-gmim"),
        ("../../etc", "axis-..-..-etc"),
        ("größer", "axis-größer"),
        ("x" * 300, "axis-" + "x" * 43),
    ],
)
def test_folders_have_readable_names_that_are_one_folder(label: str, name: str) -> None:
    plan = make_plan(grid(Axis("axis", (Point(label, {"model.hidden_size": 64}),))))
    [run] = plan.runs
    assert run.name == f"{name}-seed0-{run_hash(run.config)}"
    assert Path(run.name).name == run.name
    assert len(run.name.encode()) < 200


@pytest.mark.parametrize(
    ("axes", "cross", "sentence"),
    [
        (
            [axis("model.hidden_sise", [3])],
            False,
            "axis 'model.hidden_sise', point '3': configuration tiny: there is no",
        ),
        ([axis("model.hidden_size", [3])], False, "point '3': configuration tiny: model: hidden_size 3 is not a"),
        ([axis("training.steps", [100])], False, "warmup_steps 200 leaves none of the 100 steps"),
        (
            [Axis("a", (Point("x", {}), Point("y", {"training.workers": 3})))],
            False,
            "axis 'a': the points 'x' and 'y' make the same model",
        ),
        (
            [axis("model.hidden_size", [64]), Axis("b", (Point("c", {"model.hidden_size": 32}),))],
            True,
            "the axes 'model.hidden_size' and 'b' both set model.hidden_size, so they cannot be crossed",
        ),
    ],
)
def test_a_grid_that_cannot_be_run_is_one_sentence(axes: list[Axis], cross: bool, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(grid(*axes, cross=cross))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("grid.yaml")
    assert "\n" not in str(caught.value)


def test_settings_that_are_refused_are_named_so() -> None:
    with pytest.raises(
        ConfigError, match=r"grid\.yaml, settings: configuration tiny: there is no setting training\.st"
    ):
        make_plan(grid(axis("model.hidden_size", [64]), shared={"training.stepz": 3}))


def test_values_that_yaml_reads_as_texts_are_numbers_all_the_same() -> None:
    [run] = make_plan(grid(axis("training.learning_rate", ["5e-4"]))).runs
    assert run.config.training.learning_rate == 5e-4


SHIPPED = sorted((Path(__file__).parents[3] / "configs" / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_grid_can_be_run_and_starts_from_the_base(path: Path) -> None:
    plan = make_plan(read_grid(path))
    assert len({run.seed for run in plan.runs}) == 3
    for found in plan.axes:  # so that differences are all from one run
        assert {run.label for run in found.points[found.base].runs.values()} == {"base"}


def test_the_documented_grid_has_as_many_runs_as_it_says(tmp_path: Path) -> None:
    guide = Path(__file__).parents[3] / "docs" / "ablate.md"
    text = guide.read_text(encoding="utf8").split("```yaml\n")[1].split("```")[0]
    runs = []
    for cross in ("false", "true"):
        (tmp_path / "grid.yaml").write_text(text.replace("cross: false", f"cross: {cross}"), encoding="utf8")
        runs.append(len(make_plan(read_grid(tmp_path / "grid.yaml")).runs))
    assert runs == [15, 27]


def test_there_are_shipped_grids() -> None:
    assert [path.stem for path in SHIPPED] == ["objectives", "settings"]
