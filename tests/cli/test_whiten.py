import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import whiten
from item_embed.cli.main import guarded
from item_embed.embedding.embedder import Embedder
from tests.tiny import tiny_catalog
from tests.training.runs import train


def _whiten(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(guarded(whiten.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    train(tiny_catalog(path / "catalog"), path / "run")
    return path


def test_a_model_with_shorter_whitened_vectors(shop: Path, tmp_path: Path) -> None:
    result = _whiten(shop / "run/model", shop / "catalog", "--out", tmp_path / "model", "--dimensions", "5")
    assert result.exit_code == 0, result.stderr
    assert "vectors of 5 numbers, whitened by 24 rows" in result.stdout
    assert Embedder.from_pretrained(tmp_path / "model", "cpu").dimension == 5


def test_json_prints_one_object(shop: Path, tmp_path: Path) -> None:
    result = _whiten(shop / "run/model", shop / "catalog", "--out", tmp_path / "model", "--rows", "20", "--json")
    told = {"model": str(tmp_path / "model"), "rows": 20, "power": 0.75}
    assert json.loads(result.stdout) == told | {"late_fusion": False, "dimension": 16}


def test_with_late_fusion_there_may_be_more_numbers(shop: Path, tmp_path: Path) -> None:
    options = ["--late-fusion", "--dimensions", "40"]
    result = _whiten(shop / "run/model", shop / "catalog", "--out", tmp_path / "model", *options)
    assert result.exit_code == 0, result.stderr
    assert "vectors of 40 numbers" in result.stdout
    result = _whiten(
        shop / "run/model", shop / "catalog", "--out", tmp_path / "more", "--late-fusion", "--dimensions", "77"
    )
    assert "vectors of 76 numbers cannot be kept to 77" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--dimensions", "17"], "vectors of 16 numbers cannot be kept to 17"), (["--device", "tpu"], "'tpu'")],
)
def test_a_wrong_option_is_one_sentence_and_writes_nothing(
    options: list[str], said: str, shop: Path, tmp_path: Path
) -> None:
    result = _whiten(shop / "run/model", shop / "catalog", "--out", tmp_path / "model", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()[-1:]) == 1
    assert not (tmp_path / "model").exists()
