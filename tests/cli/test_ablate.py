import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import ablate
from item_embed.cli.main import guarded
from tests.evaluation.ablation.small import STEPS, small_catalog, write_grid

AXES = {
    "objectives": {"five": {}, "no gmlm": {"objectives.weights.gmlm": 0}},
    "rate": {"key": "training.learning_rate", "values": [1e-3, 1e30]},
}


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(ablate.command))
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue and a grid, one of whose runs diverges."""
    folder = tmp_path_factory.mktemp("ablate")
    small_catalog(folder / "catalog")
    write_grid(folder / "grid.yaml", AXES)
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path) -> Result:
    return run(folder / "grid.yaml", folder / "catalog", "--out", folder / "out")


def test_it_runs_the_grid_and_compares(folder: Path, ran: Result) -> None:
    assert ran.exit_code == 0, ran.stderr
    out = folder / "out"
    assert "no gmlm" in ran.stdout
    assert "objectives: minus five" in ran.stdout
    assert "failed: training stopped at step" in ran.stdout
    assert f"2 of 3 runs are measured. Table in {out / 'table.md'}, page in {out / 'report.html'}." in ran.stdout
    assert "objectives no gmlm, seed 0: done" in ran.stderr
    assert "rate 1e+30, seed 0: failed: training stopped" in ran.stderr
    assert (out / "table.md").read_text(encoding="utf8").startswith("# Ablation on catalog\n\n## objectives\n")
    assert "<svg" in (out / "report.html").read_text(encoding="utf8")


@pytest.mark.usefixtures("ran")
def test_the_table_alone_runs_nothing(folder: Path) -> None:
    grown = write_grid(folder / "grown.yaml", AXES, seeds=[0, 1])
    before = sorted(folder.joinpath("out").rglob("*"))
    result = run(grown, folder / "catalog", "--out", folder / "out", "--table", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["runs"], told["made"], told["queries"]) == (6, 2, 24)
    assert [point["made"] for point in told["axes"][0]["points"]] == [1, 1]
    assert set(told["axes"][0]["points"][1]["minus_base"]["hit_at_1"]) >= {"value", "low", "high", "by_run"}
    assert "4 of 6 runs are not made yet." in result.stderr
    assert sorted(folder.joinpath("out").rglob("*")) == before


def test_a_dry_run_tells_the_cost_and_writes_nothing(folder: Path) -> None:
    result = run(folder / "grid.yaml", folder / "catalog", "--out", folder / "none", "--dry-run", "--jobs", 2)
    assert result.exit_code == 0, result.stderr
    assert "GFLOP a pair" in result.stdout
    assert "rate 1e+30" in result.stdout
    assert "3 of 3 runs are to be made, about " in result.stdout
    assert "2 at a time: about " in result.stdout
    assert not (folder / "none").exists()


@pytest.mark.usefixtures("ran")
def test_a_dry_run_as_json_counts_what_is_left(folder: Path) -> None:
    result = run(folder / "grid.yaml", folder / "catalog", "--out", folder / "out", "--dry-run", "--json")
    told = json.loads(result.stdout)
    assert [one["state"] for one in told["runs"]] == ["measured", "measured", "failed"]
    assert [one["steps_left"] for one in told["runs"]][:2] == [0, 0]
    failed: dict[str, Any] = told["runs"][2]
    assert (failed["steps"], failed["samples"]) == (STEPS, 8 * STEPS)
    assert failed["flops_per_pair"] > 0
    assert told["seconds"] == failed["seconds"] == told["seconds_until_done"]


def test_where_every_run_fails_the_command_fails_and_keeps_the_reasons(folder: Path) -> None:
    grid = write_grid(folder / "wild.yaml", {"rate": {"key": "training.learning_rate", "values": [1e30]}})
    result = run(grid, folder / "catalog", "--out", folder / "wild", "--no-leaf-category")
    assert result.exit_code == 1
    assert result.stderr.endswith("error: no run could be made; see why each failed.\n")
    assert "failed: training stopped" in (folder / "wild" / "table.md").read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--queries", "q.parquet", "--relist", "5"], "--queries brings its own queries and --relist makes some"),
        (["--queries", "q.parquet", "--split", "validation"], "--split chooses rows of the catalogue and --queries"),
        (["--queries", "q.parquet"], "--queries q.parquet does not exist or is no file"),
        (["--dry-run", "--table"], "--dry-run tells what is to be made and --table what is there"),
        (["--table"], "holds no ablation yet; run it without --table first"),
        (["--device", "abacus"], "the device 'abacus' cannot be used: "),
        (["--device", "abacus", "--dry-run"], "the device 'abacus' cannot be used: "),
    ],
)
def test_a_wrong_option_is_a_sentence(folder: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    result = run(folder / "grid.yaml", folder / "catalog", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout
    assert not (tmp_path / "out").exists()


def test_a_wrong_grid_catalogue_or_folder_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("axes: {a: [{training.stepz: 3}]}", encoding="utf8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    for arguments, sentence in (
        ((bad, folder / "catalog", "--out", tmp_path / "out"), "bad.yaml, axis 'a'"),
        ((folder / "grid.yaml", tmp_path / "none", "--out", tmp_path / "out"), "none"),
        ((folder / "grid.yaml", folder / "catalog", "--out", tmp_path / "taken"), "exists and holds no ablation"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert sentence in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert "unexpected" not in result.stderr
    assert run(folder / "grid.yaml", folder / "catalog", "--out", tmp_path / "out", "--jobs", 0).exit_code == 2


def test_a_folder_that_is_being_written_is_left_alone(folder: Path, tmp_path: Path) -> None:
    from item_embed.files import locked

    with locked(tmp_path / "out"):
        result = run(folder / "grid.yaml", folder / "catalog", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "is being written by another process" in result.stderr
