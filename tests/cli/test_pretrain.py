import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import pretrain
from item_embed.cli.main import guarded
from item_embed.config import RunConfig
from tests.tiny import tiny_catalog, tiny_config


def _pretrain(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(guarded(pretrain.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    tiny_config().save(path)
    return path


def test_it_trains_and_summarises(tmp_path: Path, config: Path) -> None:
    tiny_catalog(tmp_path / "catalog")
    result = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--config", config, "training.steps=4")
    assert result.exit_code == 0, result.stderr
    assert "32 samples of 32 rows in 4 steps" in result.stdout
    assert "gmlm top1" in result.stdout
    assert (tmp_path / "run/model/model.safetensors").is_file()


def test_json_prints_one_object(tmp_path: Path, config: Path) -> None:
    tiny_catalog(tmp_path / "catalog")
    result = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--config", config, "--json")
    printed = json.loads(result.stdout)
    assert printed["model"] == str(tmp_path / "run/model")
    assert printed["steps"] == 6
    assert set(printed["validation"]["losses"]) == {"itm", "mlm", "mim", "gmlm", "gmim"}


def test_without_a_configuration_it_is_search(tmp_path: Path) -> None:
    tiny_catalog(tmp_path / "catalog")
    small = ("training.steps=1", "training.warmup_steps=0", "training.batch_size=4", "model.hidden_size=48")
    result = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", *small)
    assert result.exit_code == 0, result.stderr
    expected = RunConfig.load("search", small)
    assert RunConfig.load(tmp_path / "run/config.yaml") == expected
    assert expected.objectives.weights.agreement
    assert "Each joins three" in (tmp_path / "run/model/README.md").read_text()


def test_resume_takes_the_runs_own_configuration(tmp_path: Path, config: Path) -> None:
    tiny_catalog(tmp_path / "catalog")
    first = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--config", config, "training.seed=5")
    assert first.exit_code == 0
    again = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--resume")
    assert again.exit_code == 0, again.stderr
    assert RunConfig.load(tmp_path / "run/config.yaml").training.seed == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "run", "--config", "huge"], "there is no configuration huge"),
        (["--out", "run", "training.stepz=3"], "there is no setting training.stepz"),
        (["--out", "run", "training.steps"], "write it as key=value"),
        (["--out", "run", "--resume"], "holds no run to resume"),
        (["--out", "catalog"], "exists and is not empty"),
    ],
)
def test_a_wrong_option_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_catalog(tmp_path / "catalog")
    result = _pretrain("catalog", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def model(tmp_path: Path, config: Path) -> Path:
    tiny_catalog(tmp_path / "catalog")
    trained = _pretrain(tmp_path / "catalog", "--out", tmp_path / "first", "--config", config, "training.steps=3")
    assert trained.exit_code == 0, trained.stderr
    return tmp_path / "first/model"


def test_it_goes_on_from_a_model_and_says_what_it_takes(tmp_path: Path, model: Path) -> None:
    result = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--from", model, "training.seed=5")
    assert result.exit_code == 0, result.stderr
    assert f"taken from {model}: the encoder, the head of itm" in " ".join(result.stderr.split())
    assert "24 samples of 32 rows in 3 steps" in result.stdout
    assert RunConfig.load(tmp_path / "run/config.yaml").training.seed == 5
    again = _pretrain(tmp_path / "catalog", "--out", tmp_path / "run", "--from", model, "--resume", "--json")
    assert again.exit_code == 0, again.stderr
    origin = json.loads(again.stdout)["beginning"]["from"]
    assert (origin["model"], origin["samples"]) == (str(model), 24)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "first"], "first is no model folder: config.json is missing; give RUN/model"),
        (["--from", "tfidf"], "tfidf is no model folder"),
        (["--from", "first/model", "model.hidden_size=32"], "model.hidden_size=32 does not fit first/model"),
        (["--from", "first/model", "--config", "huge"], "there is no configuration huge"),
    ],
)
def test_what_cannot_be_gone_on_from_is_a_sentence(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = _pretrain("catalog", "--out", "run", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert not Path("run").exists()
