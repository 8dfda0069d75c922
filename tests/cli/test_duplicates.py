import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import duplicates
from item_embed.cli.main import guarded
from tests.catalogs import Row
from tests.search.duplicates.made import groups, make_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str | Path:
    rows = [Row(f"id {n}", f"mug {n}", product_id=f"p{n // 3}", metadata={"colour": n % 2}) for n in range(120)]
    return make_index(tmp_path_factory.mktemp("index"), groups(40, 3), rows).path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(duplicates.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def item(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "unexpected" not in lines[0]
    return lines[0]


def test_labels_choose_the_threshold(index: Path, tmp_path: Path) -> None:
    text = item(index, "--out", tmp_path / "out", "--labels", "product_id", "--precision", 0.9)
    for shown in (
        "precision of pairs",
        "distinct vectors searched anew",
        "neighbours found, down to the threshold",
        "240 of 240",
        "b cubed recall, by product_id",
    ):
        assert shown in text
    last = text.splitlines()[-1]
    assert last.startswith("80 duplicates among 120 listings: 40 clusters of several, the largest of 3; page in ")
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_floor_that_all_pairs_are_sure_of_is_told(index: Path, tmp_path: Path) -> None:
    labels = ("--labels", "product_id", "--precision")
    all_sure = run(index, "--out", tmp_path / "out", *labels, 0.9)
    assert "note: all judged pairs above --floor 0.8 have the wanted precision together, down to" in all_sure.stderr
    above = run(index, "--out", tmp_path / "low", *labels, 0.9, "--floor", -0.5)
    assert above.exit_code == 0
    assert "note:" not in above.stderr


def test_json_is_the_manifest(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    totals = json.loads(item(index, "--out", out, "--threshold", 0.95, "--json"))
    assert totals.pop("out") == str(out)
    assert totals.items() <= json.loads((out / "duplicates.json").read_text()).items()
    assert totals["quality"]["pair_f1"]["value"] == 1
    assert totals["threshold"] == 0.95


def test_a_sample_its_answers_and_an_update(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert item(index, "--out", out, "--sample", 20).startswith(
        f"20 pairs to judge in {out / 'pairs.html'}; then give --a"
    )
    lines = ["id,other_id,same,stratum,stratum_pairs"] + [f"id {3 * n},id {3 * n + 1},yes,9,40" for n in range(40)]
    (tmp_path / "answers.csv").write_text("\n".join(lines))
    options = ("--answers", tmp_path / "answers.csv", "--precision", 0.9, "--json")
    found = json.loads(item(index, "--out", out, *options))
    assert found["searched"] == 0
    assert json.loads(item(index, "--out", tmp_path / "new", "--update", out, *options))["searched"] == 0


def test_variants_and_linkage(index: Path, tmp_path: Path) -> None:
    options = ("--threshold", 0.95, "--json", "--linkage", "average")
    apart = json.loads(item(index, "--out", tmp_path / "a", *options, "--variants", "colour", "different"))
    assert apart["duplicates"] == 40
    assert apart["linkage"] == "average"
    together = json.loads(item(index, "--out", tmp_path / "b", *options, "--variants", "colour", "same"))
    assert (together["duplicates"], together["variants"]["clusters_of_several_values"]) == (80, 40)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            (),
            "no threshold; name labels with --labels product_id, or give judged pairs with --pairs FILE, or",
        ),
        (("--threshold", 0.9, "--labels", "product_id"), "--threshold and --labels each say"),
        (("--threshold", 1.5), "--threshold 1.5 is out of range"),
        (("--threshold", 0.7), "--threshold 0.7 lies below --floor 0.8"),
        (("--threshold", "nan"), "--threshold nan is out of range"),
        (("--sample", 0), "--sample must be at least 1"),
        (("--threshold", 0.9, "--neighbours", 0), "--neighbours must be at least 1"),
        (("--labels", "product_id", "--precision", 0), "--precision 0 is out of range"),
        (("--threshold", 0.9, "--variants", "colour", "alike"), "variants are same or different"),
        (("--threshold", 0.9, "--variants", "color", "same"), "no listing of"),
        (("--pairs", "none.csv"), "does not exist"),
        (("--labels", "product_id", "--precision", 1), "--precision 1 is more than answers can promise"),
    ],
)
def test_what_cannot_be_is_one_sentence(index: Path, tmp_path: Path, options: tuple[object, ...], reason: str) -> None:
    assert reason in refused(index, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_an_index_or_a_folder_that_is_none(index: Path, tmp_path: Path) -> None:
    assert "is not an index" in refused(tmp_path / "none", "--out", tmp_path / "out", "--threshold", 0.9)
    assert "exists already" in refused(index, "--out", index, "--threshold", 0.9)
