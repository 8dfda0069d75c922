from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.grid import Grid, _flat, read_grid

GRID = """
config: tiny
settings: {training.steps: 2000, model: {hidden_size: 64}}
seeds: [0, 4]
axes:
  objectives:
    five tasks: {}
    no gmlm: {objectives.weights.gmlm: 0}
    global alone: {objectives: {weights: {itm: 0, mlm: 0, mim: 0}}}
  patch mask rate: {key: objectives.patch_mask_rate, values: [0.25, 0.5]}
  listed:
    -
    - {objectives.patch_target: normalized, objectives.patch_loss: l1}
cross: true
"""


def read(folder: Path, text: str) -> Grid:
    file = folder / "grid.yaml"
    file.write_text(text, encoding="utf8")
    return read_grid(file)


def test_a_grid_is_read_as_it_is_written(tmp_path: Path) -> None:
    grid = read(tmp_path, GRID)
    assert (grid.config, grid.seeds, grid.cross) == ("tiny", (0, 4), True)
    assert grid.settings == {"training.steps": 2000, "model.hidden_size": 64}
    objectives, rate, listed = grid.axes
    assert [point.label for point in objectives.points] == ["five tasks", "no gmlm", "global alone"]
    assert objectives.points[1].settings == {"objectives.weights.gmlm": 0}
    assert set(objectives.points[2].settings) == {f"objectives.weights.{name}" for name in ("itm", "mlm", "mim")}
    assert (rate.key, rate.numeric, [point.value for point in rate.points]) == (
        "objectives.patch_mask_rate",
        True,
        [0.25, 0.5],
    )
    assert [point.label for point in listed.points] == ["base", "patch_target normalized, patch_loss l1"]
    assert not listed.numeric


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    grid = read(tmp_path, "axes: {a: [{training.steps: 5}]}")
    assert (grid.config, grid.seeds, grid.settings, grid.cross) == ("tiny", (0,), {}, False)


def test_a_number_of_seeds_is_that_many_from_0(tmp_path: Path) -> None:
    assert read(tmp_path, "axes: {a: [{}]}\nseeds: 3").seeds == (0, 1, 2)
    assert read(tmp_path, "axes: {a: [{}]}\nseeds: [3]").seeds == (3,)


def test_a_configuration_beside_the_grid_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("training: {steps: 7}\n")
    assert read(tmp_path, "config: mine.yaml\naxes: {a: [{}]}").config == str(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("values", "labels", "numbers"),
    [
        ("[5e-4, 1.0e-3]", ["5e-4", "0.001"], [0.0005, 0.001]),  # YAML 1.1 reads the first as a text
        ("[drop, keep]", ["drop", "keep"], [None, None]),
        ("[[80, 64], [112, 96]]", ["[80, 64]", "[112, 96]"], [None, None]),
        ("[1, .inf, true]", ["1", "Infinity", "true"], [1.0, None, None]),
    ],
)
def test_values_are_named_and_numbered(
    values: str, labels: list[str], numbers: list[float | None], tmp_path: Path
) -> None:
    [axis] = read(tmp_path, f"axes: {{a: {{key: some.key, values: {values}}}}}").axes
    assert [point.label for point in axis.points] == labels
    assert [point.value for point in axis.points] == numbers


NESTED = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), NESTED, max_size=3))
def test_nested_settings_are_those_of_their_whole_names(settings: dict[str, Any]) -> None:
    def leaves(group: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
        found = []
        for name, value in group.items():
            found += leaves(value, (*above, name)) if isinstance(value, dict) else [(".".join((*above, name)), value)]
        return found

    assert _flat(settings, "here") == dict(leaves(settings))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axes: [", "grid.yaml is not valid YAML: line 1"),
        ("- 1", "is no grid: it has to hold a mapping"),
        ("", "is no grid"),
        ("axes: {}", "axes is empty"),
        ("config: tiny", "axes is missing"),
        ("axes: {a: [{}]}\nseed: 3", "there is no seed in a grid; it has config, settings, seeds"),
        ("axes: {a: [{}]}\nseeds: []", "seeds is empty"),
        ("axes: {a: [{}]}\nseeds: 0", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: -1", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: 101", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: 1.0", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: true", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: two", "seeds: write how many, 1 to 100, or a list of them"),
        ("axes: {a: [{}]}\nseeds: [1, -1]", "seeds.1: Input should be greater than or equal to 0 (given: -1)"),
        ("axes: {a: [{}]}\nseeds: [1, 1.5]", "seeds.1: Input should be a valid integer"),
        ("axes: {a: [{}]}\nseeds: [1, 2, 1]", "the seed 1 is given twice"),
        ("axes: {a: [{}]}\ncross: maybe", "cross: Input should be a valid boolean"),
        ("axes: {a: [{}]}\nsettings: {training.seed: 1}", "settings: training.seed is set; name it under seeds"),
        ("axes: {a: {key: training.seed, values: [1]}}", "axis 'a': training.seed is set"),
        ("axes: {a: []}", "axis 'a' has no points"),
        ("axes: {a: {}}", "axis 'a' has no points"),
        ("axes: {a: {key: k, values: []}}", "axis 'a' has no points"),
        ("axes: {a: 3}", "axis 'a': write its points as a mapping"),
        ("axes: {a: {key: k, values: 3}}", "axis 'a': values is 3; give a list"),
        ("axes: {a: {key: k, values: [1], seeds: 2}}", "beside key and values there is 'seeds'"),
        ("axes: {a: {b: 3}}", "axis 'a', point 'b': 3 is no mapping of settings; write it as {"),
        ("axes: {a: [3]}", "axis 'a': 3 is no mapping of settings"),
        ("axes: {a: {key: k, values: [1, 1]}}", "axis 'a' has '1' twice"),
        ("axes: {a: {b: {}, b: {}}}", "line 1: 'b' is there twice"),
        ("axes:\n  a: [{}]\n  b: [{}]\n  a: [{}]", "line 4: 'a' is there twice"),
        ("axes: {a: {no: {}}}", "axis 'a': YAML reads a name there as false; put it into quotes"),
        ("axes: {yes: [{}]}", "YAML reads a name there as true"),
        ("axes: {a: [{training.steps: 1, training: {steps: 2}}]}", "training.steps is set twice"),
    ],
)
def test_a_wrong_grid_is_one_sentence_that_names_it(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert sentence in message
    assert "grid.yaml" in message
    assert "\n" not in message


def test_a_grid_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the grid .*none\.yaml cannot be read: No such file"):
        read_grid(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not valid YAML"):
        read_grid(tmp_path / "broken.yaml")
