import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.config import MASKED_TASKS, RunConfig, shipped_configs
from item_embed.errors import ConfigError


def test_the_shipped_configurations_are_these() -> None:
    assert list(shipped_configs()) == ["base", "paper", "search", "small", "tiny"]


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_loads_with_its_tasks(name: str) -> None:
    config = RunConfig.load(name)
    assert tuple(config.objectives.weights.active()) == (("agreement",) if name == "search" else MASKED_TASKS)
    assert config == RunConfig.load(shipped_configs()[name])


def test_sizes_of_the_shipped_models() -> None:
    shapes = {}
    for name in shipped_configs():
        model = RunConfig.load(name).model
        shapes[name] = (model.num_hidden_layers, model.hidden_size, model.image_size)
    assert shapes == {
        "tiny": (3, 128, (80, 64)),
        "small": (6, 384, (224, 224)),
        "base": (12, 768, (224, 224)),
        "paper": (12, 768, (224, 224)),
        "search": (2, 192, (80, 64)),
    }


def test_paper_is_what_the_paper_states() -> None:
    config = RunConfig.load("paper")
    assert config.model.patch_size == 16
    assert config.model.image_size == (224, 224)
    assert (config.model.hidden_size, config.model.num_hidden_layers) == (768, 12)
    assert (config.model.num_attention_heads, config.model.intermediate_size) == (12, 3072)
    assert tuple(config.objectives.weights.active()) == MASKED_TASKS
    assert config.training.batch_size == 512
    assert config.training.steps == 100_000
    assert not config.augmentation.on


def test_overrides_win_and_are_read_as_yaml() -> None:
    config = RunConfig.load(
        "tiny",
        [
            "training.steps=300",
            "training.learning_rate=5e-4",
            "training.betas=[0.8, 0.9]",
            "objectives.weights.mlm=0",
            "objectives.patch_target=normalized",
            "model.image_size=[32, 16]",
            "training.steps=301",
        ],
    )
    assert config.training.steps == 301
    assert config.training.learning_rate == 5e-4
    assert config.training.betas == (0.8, 0.9)
    assert list(config.objectives.weights.active()) == ["itm", "mim", "gmlm", "gmim"]
    assert config.objectives.patch_target == "normalized"
    assert config.model.image_size == (32, 16)
    assert config.model.hidden_size == 128  # what is not overridden stays


def test_a_file_may_leave_out_everything(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training:\nmodel:\n  image_size: [32, 32]\n")
    config = RunConfig.load(str(file), ["training.seed=4"])
    assert config.model.image_size == (32, 32)
    assert config.training == RunConfig.load(file).training.model_copy(update={"seed": 4})
    file.write_text("")
    assert RunConfig.load(file) == RunConfig()


@given(st.floats(1e-9, 1e3), st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_what_is_saved_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rate: float, share: float, seed: int
) -> None:
    config = RunConfig.load(
        "small",
        [f"training.learning_rate={rate!r}", f"objectives.patch_mask_rate={share!r}", f"training.seed={seed}"],
    )
    assert (config.training.learning_rate, config.objectives.patch_mask_rate) == (rate, share)
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    config.save(file)
    assert RunConfig.load(file) == config


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.stepps=3"], "there is no setting training.stepps"),
        (["optimiser.steps=3"], "there is no setting optimiser"),
        (["objectives.weights.clip=1"], "there is no setting objectives.weights.clip"),
        (["steps"], "'steps' is no setting: write it as key=value"),
        (["=3"], "'=3' is no setting"),
        (["training.steps.more=3"], "steps is a value, not a group of settings"),
        (["training.steps=["], "'[' is not a YAML value"),
        (["training.steps=\udcff"], "'\\udcff' is not a YAML value"),  # a byte of the command line that is not UTF-8
        (["training.steps=0"], "training.steps: Input should be greater than or equal to 1 (given: 0)"),
        (["training.steps=many"], "training.steps: "),
        (["training.learning_rate=inf"], "training.learning_rate: "),
        (["training.learning_rate=.inf"], "training.learning_rate: Input should be a finite number"),
        (["objectives.weights.mlm=.nan"], "objectives.weights.mlm: "),
        (["training.precision=fp8"], "training.precision: "),
        (["training=3"], "training: "),
        (["model.image_size=[80]"], "model.image_size"),
        (["model.image_size=[80,60]"], "image_size (80, 60) is not a multiple of patch_size 16"),
        (["model.image_size=[80,0]"], "image_size (80, 0) is not a multiple of patch_size 16"),
        (["model.num_attention_heads=3"], "hidden_size 128 is not a multiple of num_attention_heads 3"),
        (["training.accumulation=3"], "batch_size 256 is not a multiple of accumulation 3"),
        (["training.warmup_steps=2000"], "warmup_steps 2000 leaves none of the 2000 steps"),
        (["model.background=blur"], "model.background: "),
        (["model.image_size=[16,16]", "model.background=drop"], "background=drop needs photos of more than one patch"),
        (
            ["model.image_size=[16,16]", "objectives.patch_masking=drop"],
            "objectives.patch_masking=drop needs photos of",
        ),
        (["objectives.itm_input=half"], "objectives.itm_input: Input should be 'masked' or 'whole' (given: 'half')"),
        (["objectives.agreement.shares=[0.5,0.5,0.5]"], "objectives.agreement: shares (0.5, 0.5, 0.5) are not shares"),
        (["objectives.agreement.temperature=0"], "objectives.agreement.temperature: "),
        (["objectives.weights.agreement=1", "training.batch_size=4", "training.accumulation=4"], "parts are of one"),
        (
            ["model.patch_embedding=convolutional", "model.patch_size=5", "model.image_size=[10,10]"],
            "patch_size is 2, 4, 8, ..., not 5",
        ),
        (
            ["model.patch_embedding=convolutional", "model.hidden_size=36"],
            "hidden_size 36 is not a multiple of patch_size / 2, 8",
        ),
        (["objectives.global_head=mlp"], "objectives.global_head: Input should be 'span', 'linear' or 'conditioned'"),
        (["objectives.mismatch_rate=0"], "itm needs mismatched pairs"),
        (["objectives.token_corruption=[0.8,0.1,0.2]"], "are not shares that add up to 1"),
        (["objectives.token_corruption=[1.2,-0.1,-0.1]"], "are not shares that add up to 1"),
        (["augmentation.mirror=1.1"], "augmentation.mirror: "),
        (["augmentation.scale=0"], "augmentation.scale: "),
        (["augmentation.contrast=1"], "augmentation.contrast: "),
        (["augmentation.hue=0.1"], "there is no setting augmentation.hue"),
        ([f"objectives.weights.{name}=0" for name in MASKED_TASKS], "every objective has weight 0"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.load("tiny", overrides)
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message


def test_itm_switched_off_needs_no_mismatched_pairs() -> None:
    config = RunConfig.load("tiny", ["objectives.mismatch_rate=0", "objectives.weights.itm=0"])
    assert "itm" not in config.objectives.weights.active()


def test_a_configuration_of_before_these_settings_means_what_it_meant(tmp_path: Path) -> None:
    config = RunConfig.load("tiny")
    data = config.model_dump(mode="json")
    assert [data["objectives"].pop(name) for name in ("itm_input", "global_head")] == ["masked", "span"]
    assert RunConfig.model_validate(data) == config  # as a model's provenance holds it
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    assert RunConfig.load(file) == config


AXES = re.findall(
    r"^\| [^|]+ \| (`[^|]+`) \| (`[^|]+) \|$",
    (Path(__file__).parents[1] / "docs" / "objectives.md").read_text(encoding="utf8"),
    re.MULTILINE,
)


def test_the_axes_of_an_ablation_are_these() -> None:
    keys = {key for row, _ in AXES for key in re.findall(r"`([^`]+)`", row)}
    assert {f"objectives.weights.{name}" for name in MASKED_TASKS} < keys
    assert {f"objectives.{name}" for name in RunConfig().objectives.model_dump()} - keys == {
        "objectives.weights",
        "objectives.agreement",
    }
    assert {f"objectives.agreement.{name}" for name in RunConfig().objectives.agreement.model_dump()} < keys
    assert {f"model.{name}" for name in RunConfig().model.model_dump()} < keys
    assert {"training.steps", "training.batch_size", "training.learning_rate", "training.seed"} < keys


@pytest.mark.parametrize(("keys", "values"), AXES)
def test_every_axis_is_set_by_key_and_value_as_documented(keys: str, values: str) -> None:
    for key in re.findall(r"`([^`]+)`", keys):
        *groups, name = key.split(".")
        for value in re.findall(r"`([^`]+)`", values):
            found: Any = RunConfig.load("tiny", [f"{key}={value}"])
            for group in groups:
                found = getattr(found, group)
            expected = yaml.safe_load(value)
            assert found.model_dump(mode="json")[name] == expected, (key, value)


@pytest.mark.parametrize("content", [b"training: [", b"- 1\n- 2", b"\xff\xfe\x00broken", b"training: 3", b"1: 2"])
def test_a_file_that_is_no_configuration_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.yaml") as caught:
        RunConfig.load(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["huge", "no/such.yaml", "."])
def test_no_such_configuration_lists_those_there_are(source: str) -> None:
    with pytest.raises(ConfigError, match="base, paper, search, small, tiny"):
        RunConfig.load(source)


def test_settings_cannot_be_changed_afterwards() -> None:
    config = RunConfig.load("tiny")
    with pytest.raises(ValueError, match="frozen"):
        config.training.steps = 3  # type: ignore[misc]


def test_every_setting_in_the_shipped_files_is_one_that_exists() -> None:
    """`extra=forbid` would refuse them; a misspelt heading must not slip through as an empty one."""
    for path in shipped_configs().values():
        assert set(yaml.safe_load(path.read_text(encoding="utf8"))) <= set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps=5", "there is no setting steps; do you mean training.steps?"),
        ("mlm=0", "there is no setting mlm; do you mean objectives.weights.mlm?"),
        ("saturation=0.2", "there is no setting saturation; do you mean augmentation.saturation?"),
        ("objectives.mlm=0", "there is no setting objectives.mlm; do you mean objectives.weights.mlm?"),
        ("training.lr=1", "there is no setting training.lr."),
        ("training.stpes=5", "there is no setting training.stpes; do you mean training.steps?"),
        ("objectives.weight.mlm=0", "there is no setting objectives.weight; do you mean objectives.weights?"),
        ("training.betas=[1.5, 0.9]", "training.betas.0"),
    ],
)
def test_a_near_miss_is_named(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.load("tiny", [override])
    assert sentence in str(caught.value)
