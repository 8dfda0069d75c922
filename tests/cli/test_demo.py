import csv
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import demo
from item_embed.cli.main import guarded
from tests.catalogs import photo


def _demo(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(guarded(demo.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = _demo("--out", tmp_path)
    assert result.exit_code == 1
    assert "was not made by `item demo`" in result.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep me"


@pytest.mark.slow
def test_the_whole_path_on_a_drawn_marketplace_twice(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    for _ in range(2):  # a second time replaces the first
        result = _demo("--out", out, "--products", "80", "--steps", "20", "--json")
        assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["evaluation"]["split"] == "test"
    assert 0 <= printed["evaluation"]["hit_at_1"]["value"] <= 1
    assert "simple" in printed["evaluation"]["baselines"]
    html = (out / "report.html").read_text(encoding="utf8")
    assert html.count("data:image/jpeg") > 10
    assert "macro recall@10" in html
    assert (out / "index").is_dir()


@pytest.mark.slow
def test_a_feed_of_ones_own_without_products_gets_neighbours_instead_of_figures(tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    with feed.open("w", newline="", encoding="utf8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "image"])
        for i in range(60):
            (tmp_path / f"{i}.jpg").write_bytes(photo((i * 4, 255 - i * 4, 100)))
            writer.writerow([i, f"Lamp number {i}", f"{i}.jpg"])
    result = _demo("--out", tmp_path / "demo", "--source", feed, "--steps", "10")
    assert result.exit_code == 0, result.stderr
    assert "no evaluation" in result.stderr
    html = (tmp_path / "demo/report.html").read_text(encoding="utf8")
    assert html.count("Lamp number") > 12
