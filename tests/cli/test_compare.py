"""`item compare`, its learners replaced by ones that learn nothing."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import compare
from item_embed.cli.main import guarded
from item_embed.config import RunConfig
from item_embed.evaluation.comparison import running
from item_embed.files import locked
from tests.catalogs import folder
from tests.evaluation.comparison.learners import fake_learner, labelled_shop
from tests.evaluation.relistings import query, write_queries

SMALL = ["training.steps=4", "training.warmup_steps=1"]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "learner", fake_learner)
    return folder(labelled_shop(tmp_path / "catalog"))


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(compare.command))
    return CliRunner().invoke(app, [*map(str, arguments)])


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "unexpected" not in last
    return last


def test_a_comparison_is_told_and_goes_on(tmp_path: Path, catalog: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "page.html"
    result = run(catalog, "tfidf", "good", *SMALL, "--out", out, "--html", page)
    assert result.exit_code == 0, result.output
    assert "good minus each other method" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("2 methods: ")
    samples = 4 * RunConfig.load("tiny", SMALL).training.batch_size
    assert f"1 training of {samples:,} samples is to be made." in result.stderr.splitlines()
    assert "good minus each other method" in page.read_text(encoding="utf8")
    again = run(catalog, "tfidf", "good", "noisy", *SMALL, "--out", out, "--reference", "good", "--json")
    assert "to be made" not in again.stderr
    told = json.loads(again.stdout)
    assert list(told["methods"]) == ["tfidf", "good", "noisy"]
    assert (out / "methods" / "good-0" / "fitted").read_text(encoding="utf8") == "once\n"


def test_table_trains_nothing(tmp_path: Path, catalog: Path) -> None:
    out = tmp_path / "out"
    assert "holds no comparison yet; run it without --table first" in refused(catalog, "good", "--out", out, "--table")
    assert not out.exists()
    assert run(catalog, "good", *SMALL, "--out", out).exit_code == 0
    before = sorted(out.rglob("*"))
    result = run(catalog, "noisy", *SMALL, "--out", out, "--table")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "0 methods: nothing is measured yet."
    assert sorted(out.rglob("*")) == before


def test_a_dry_run_tells_what_is_left_and_writes_nothing(tmp_path: Path, catalog: Path) -> None:
    out = tmp_path / "out"
    told = run(catalog, "tfidf", "good", *SMALL, "--seeds", 2, "--out", out, "--dry-run")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[-1] == "3 of 3 are to be made."
    assert told.stdout.splitlines()[-2].startswith("2 trainings of ")
    assert not out.exists()
    assert run(catalog, "good", *SMALL, "--out", out).exit_code == 0
    before = sorted(out.rglob("*"))
    (out / "methods" / "noisy-0").mkdir()
    result = run(catalog, "good", "noisy", "tfidf", *SMALL, "--seeds", 2, "--out", out, "--dry-run", "--json")
    assert [tuple(one.values()) for one in json.loads(result.stdout)["methods"]] == [
        ("good", 0, "measured"),
        ("good", 1, "to do"),
        ("noisy", 0, "begun"),
        ("noisy", 1, "to do"),
        ("tfidf", 0, "to do"),
    ]
    assert sorted(out.rglob("*")) == sorted([*before, out / "methods" / "noisy-0"])
    longer = ["training.steps=5", "training.warmup_steps=1"]
    assert "begun with another configuration" in refused(catalog, "good", *longer, "--out", out, "--dry-run")


def test_the_table_of_something_else_is_refused(tmp_path: Path, catalog: Path) -> None:
    out, other = tmp_path / "out", labelled_shop(tmp_path / "other", ("train", "test", "test")).path
    assert run(catalog, "good", *SMALL, "--out", out).exit_code == 0
    assert "was begun with another catalogue" in refused(other, "good", *SMALL, "--out", out, "--table")
    longer = ["training.steps=5", "training.warmup_steps=1"]
    assert "begun with another configuration" in refused(catalog, "good", *longer, "--out", out, "--table")
    assert "begun with other queries" in refused(catalog, "good", *SMALL, "--out", out, "--table", "--relist", 3)


def test_where_every_method_fails_the_command_fails_and_tells_why(tmp_path: Path, catalog: Path) -> None:
    result = run(catalog, "diverging", *SMALL, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "training stopped at step 3" in result.stdout
    assert result.stderr.splitlines()[-1] == (
        "error: no method could be trained and measured; see why each was left out."
    )


def test_a_folder_that_is_being_written_is_left_alone(tmp_path: Path, catalog: Path) -> None:
    with locked(tmp_path / "out"):
        assert "is being written by another process" in refused(catalog, "good", *SMALL, "--out", tmp_path / "out")


def test_all_rows_are_asked_for_where_nothing_is_trained(tmp_path: Path, catalog: Path) -> None:
    result = run(catalog, "still", "tfidf", "--split", "all", "--out", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["queries"] == 48


def test_given_and_made_queries(tmp_path: Path, catalog: Path) -> None:
    file = write_queries(tmp_path / "queries.parquet", [query("mug 0", title="Mug new 0")])
    given = run(catalog, "good", *SMALL, "--out", tmp_path / "given", "--queries", file, "--json")
    assert (json.loads(given.stdout)["protocol"], json.loads(given.stdout)["queries"]) == ("given", 1)
    assert "1 query: the figures say little" in given.stderr
    made = run(catalog, "good", *SMALL, "--out", tmp_path / "made", "--relist", 3, "--json")
    assert json.loads(made.stdout)["protocol"] == "relistings"
    table = run(catalog, "good", *SMALL, "--out", tmp_path / "made", "--relist", 3)
    assert "simulated relistings" in table.stdout
    assert table.stdout.splitlines()[-1].startswith("1 method: good has ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--queries", "q.parquet", "--relist", 3], "leave one of them out"),
        (["--queries", "q.parquet", "--split", "validation"], "leave one of them out"),
        (["still", "good", "--split", "all"], "rows that good is trained on; give validation or test"),
        (["good", "--reference", "clip"], "--reference clip is none of the methods compared: good."),
        (["good", "--dry-run", "--table"], "--dry-run tells what is to be done and --table what is there"),
        (["good", "--dry-run", "--html", "page.html"], "--dry-run has no figures for a page; leave --html out."),
        (["good", "--dry-run", "training.stepz=3"], "no setting training.stepz"),
        (["gud", "--dry-run"], "no method 'gud'"),
        (["gud"], "no method 'gud'"),
        (["good", "training.stepz=3"], "no setting training.stepz"),
        (["--config", "huge"], "no configuration huge"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, catalog: Path, arguments: list[object], sentence: str) -> None:
    assert sentence in refused(catalog, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
