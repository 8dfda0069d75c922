import csv
import json
from pathlib import Path

import pytest
import typer
from PIL import Image
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
    *lines, last = result.stdout.splitlines()
    assert last.startswith("drew 3 products of 3 kinds in ")
    assert last.endswith(f" listings: {tmp_path}/market/feed.csv")
    for name in ("photo alone", "title alone", "photo and title"):
        (row,) = [line.split() for line in lines if line.strip().startswith(name + " ")]
        assert all(0 < float(figure) <= 1 for figure in row[-4:])
    assert result.stderr == ""
    assert (tmp_path / "market/feed.csv").is_file()


def test_draw_json_prints_one_object_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "market"
    result = _draw("--out", str(out), "--products", "3", "--image-size", "32", "--json")
    printed = json.loads(result.stdout)
    assert printed["feed"] == str(out / "feed.csv")
    assert (printed["products"], printed["kinds"]) == (3, 3)
    assert 6 <= printed["listings"] <= 12
    assert set(printed["ceilings"]["both"].values()) == {1.0}


def test_draw_shows_attributes_where_it_is_told_to(tmp_path: Path) -> None:
    out = tmp_path / "market"
    shows = ("--dominance", "image", "--show", "colour=title", "--show", "size=neither", "--mention", "1")
    result = _draw("--out", str(out), "--products", "3", "--image-size", "32", "--workers", "1", *shows)
    assert result.exit_code == 0
    showing = json.loads((out / "market.json").read_text())["showing"]
    assert (showing["colour"], showing["size"], showing["pattern"]) == ("title", "neither", "photo")
    with (out / "truth/labels.csv").open(newline="", encoding="utf8") as file:
        assert {row["title_names"] for row in csv.DictReader(file)} == {"colour style"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dominance", "sound"), "choose mixed, image, title or balanced for --dominance"),
        (("--show", "weight=photo"), "no attribute 'weight'"),
        (("--show", "line=photo"), "line cannot show in 'photo'; choose title or neither for --show line"),
        (("--mention", "2"), "--mention"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_draw_answers_a_wrong_option_with_one_sentence(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    result = _draw("--out", str(tmp_path / "market"), "--products", "3", *options)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "market").exists()


@pytest.mark.parametrize(
    ("size", "attribute", "said"), [(64, "model", True), (96, "model", False), (64, "brand", False)]
)
def test_draw_says_when_tags_are_too_small_to_read(tmp_path: Path, size: int, attribute: str, said: bool) -> None:
    options = ("--products", "2", "--image-size", str(size), "--show", f"{attribute}=both")
    result = _draw("--out", str(tmp_path / "market"), *options)
    assert ("a tag cannot be read" in result.stderr) == said


def test_draw_writes_a_sheet_to_look_at(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    options = ("--products", "2", "--image-size", "32", "--sheet", str(sheet))
    result = _draw("--out", str(tmp_path / "market"), *options)
    assert result.exit_code == 0
    with Image.open(sheet) as image:
        image.load()
        assert image.format == "JPEG"
        assert min(image.size) > 200


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
