import json
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from item_embed.cli import draw
from item_embed.cli.main import guarded


def _draw(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(guarded(draw.command))
    return CliRunner().invoke(app, list(arguments))


def test_draw_writes_a_feed_and_says_what_it_drew(tmp_path: Path) -> None:
    result = _draw("--out", str(tmp_path / "market"), "--products", "3", "--image-size", "32")
    assert result.exit_code == 0
    assert result.stdout.startswith("drew 3 products of 3 kinds in ")
    assert result.stdout.endswith(f" listings: {tmp_path}/market/feed.csv\n")
    assert result.stderr == ""
    assert (tmp_path / "market/feed.csv").is_file()


def test_draw_json_prints_one_object_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "market"
    result = _draw("--out", str(out), "--products", "3", "--image-size", "32", "--json")
    printed = json.loads(result.stdout)
    assert printed["feed"] == str(out / "feed.csv")
    assert (printed["products"], printed["kinds"]) == (3, 3)
    assert 6 <= printed["listings"] <= 12


def test_draw_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = _draw("--out", str(tmp_path), "--products", "3")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "exists already" in result.stderr
    assert "Traceback" not in result.stderr


def test_draw_refuses_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = _draw("--out", str(tmp_path / "file/market"), "--products", "3")
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path}/file/market cannot be written: Not a directory.\n"
