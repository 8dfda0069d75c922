import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from item_embed.cli.main import app
from tests.catalog.made import encoded, picture, write_csv
from tests.catalog.photos.shop import Shop, answer


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shirt.jpg").write_bytes(encoded(picture(), "JPEG"))
    rows = [("1", "Red shirt", "shirt.jpg"), ("2", "Blue shirt", ""), ("1", "Other", "shirt.jpg")]
    return write_csv(Path("feed.csv"), [{"sku": a, "name": b, "photo": c} for a, b, c in rows])


def _prepare(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["prepare", *arguments])


def test_the_summary_counts_every_row(feed: Path) -> None:
    result = _prepare("feed.csv", "--out", "catalog")
    assert result.exit_code == 0, result.output
    assert "columns: id ← sku, title ← name, image ← photo" in result.stdout
    assert "3 rows: 1 kept, 1 kept with repairs, 1 set aside (catalog/rejected.parquet)" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["photo:", "absent", "1"] in rows
    assert ["duplicate", "id,", "different", "content", "1"] in rows
    assert result.stdout.endswith("catalogue: catalog, report: catalog/report.html\n")
    assert "the test split is empty: the catalogue has too few groups\n" in result.stderr


def test_a_clean_feed_needs_no_table(feed: Path) -> None:
    write_csv(feed, [{"title": "Red shirt", "image": "shirt.jpg"}])
    result = _prepare("feed.csv", "--out", "catalog")
    assert "mended" not in result.stdout
    assert "no id column was found: rows are named row-1, row-2, …; name one with --id-column\n" in result.stderr
    assert "1 row: 1 kept, 0 kept with repairs, 0 set aside\n" in result.stdout


def test_json_is_the_manifest_alone(feed: Path) -> None:
    result = _prepare("feed.csv", "--out", "catalog", "--json", "--seed", "3")
    printed = json.loads(result.stdout)
    assert printed == json.loads(Path("catalog/manifest.json").read_text())
    assert printed["counts"] == {"input": 3, "kept": 1, "repaired": 1, "set_aside": 1}
    assert printed["seed"] == 3


def test_options_reach_the_work(feed: Path) -> None:
    Path("photos").mkdir()
    Path("shirt.jpg").rename("photos/shirt.jpg")
    options = "--id-column photo --title-column name --image-column photo --category-column sku --product-column sku"
    result = _prepare(
        "feed.csv", "--out", "c", *options.split(), "--group-column", "name", "--images", "photos", "--json"
    )
    manifest = json.loads(result.stdout)
    roles = {"id": "photo", "title": "name", "image": "photo", "category": "sku", "product_id": "sku", "group": "name"}
    assert manifest["columns"] == roles
    assert manifest["reasons"]["photo: absent"] == 1
    assert "photo: file not found" not in manifest["reasons"]


def test_outside_is_read_when_allowed(feed: Path) -> None:
    write_csv(feed, [{"title": "Red shirt", "image": str(Path("shirt.jpg").resolve())}])
    assert "absolute path, refused without --allow-outside" in _prepare("feed.csv", "--out", "a").stdout
    assert "refused" not in _prepare("feed.csv", "--out", "b", "--allow-outside").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.csv", "--out", "c"], "error: there is no file none.csv."),
        (["*.tsv", "--out", "c"], "error: *.tsv matches no feed: the name of a feed ends in"),
        (
            ["empty.csv", "--out", "c"],
            "error: empty.csv holds no rows; export the feed again, with a header and at least",
        ),
        (["folder", "--out", "c"], "error: the folder folder holds no feed directly"),
        (["shirt.jpg", "--out", "c"], "error: shirt.jpg is not a feed: the name of a feed ends in .csv"),
        (
            ["feed.csv", "--out", "folder"],
            "error: folder exists already; choose another name, or replace it with --over",
        ),
        (
            ["feed.csv", "--out", "other", "--overwrite"],
            "error: other is not a catalogue, so --overwrite leaves it alone",
        ),
        (
            ["feed.csv", "--out", "c", "--title-column", "x"],
            "error: the feed has no column 'x' for the title; its columns",
        ),
        (["ab.csv", "--out", "c"], "error: no column of the feed looks like a title or an image; its columns are a, b"),
        (["feed.csv", "--out", "c", "--images", "x"], "error: there is no folder x to look up images in"),
        (
            ["bad.csv", "--out", "c"],
            "error: none of the 2 rows of bad.csv can be kept (no title, and no photo (absent): 2)",
        ),
        (["feed.csv", "--out", "shirt.jpg/c"], "error: shirt.jpg/c cannot be written: Not a directory."),
    ],
)
def test_each_failure_is_one_sentence(feed: Path, arguments: list[str], sentence: str) -> None:
    Path("empty.csv").touch()
    Path("folder").mkdir()
    Path("folder/work").touch()
    Path("other").mkdir()
    Path("other/work").touch()
    Path("ab.csv").write_text("a,b\n1,2\n")
    Path("bad.csv").write_text("id,title,image\n1,,\n2,,\n")
    result = _prepare(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not Path("c").exists()


def test_the_real_command_in_a_real_process(feed: Path) -> None:
    """The feed's name is not UTF-8."""
    name = os.fsdecode(b"caf\xe9.csv")
    feed.rename(name)
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        "from item_embed.cli.main import main; main()",
        "prepare",
        name,
    ]
    run = subprocess.run([*command, "--out", "c"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("catalogue: c, report: c/report.html\n")
    assert "Traceback" not in run.stderr
    again = subprocess.run([*command, "--out", "c"], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert again.stderr.startswith("error: c exists already")


def test_photos_by_url_with_a_dead_link_tried_again_tonight(feed: Path) -> None:
    photo = answer(encoded(picture(), "JPEG"), content_type="image/jpeg")
    with Shop({"/a.jpg": photo, "/b.jpg": [answer(b"", "404 Not Found"), photo]}) as shop:
        write_csv(feed, [{"id": n, "title": f"Shirt {n}", "image": f"{shop.url}/{n}.jpg"} for n in "ab"])
        options = ["feed.csv", "--out", "c", "--cache", "photos", "--per-host-rate", "1000", "--crawl-delay", "0"]
        refused = _prepare(*options)
        assert "photo: download: private or local address, refused" in refused.stdout
        assert shop.asked == []
        first = _prepare(*options, "--overwrite", "--allow-private")
        assert "photo: download: HTTP 404" in first.stdout
        tonight = _prepare(*options, "--update", "--allow-private")
        assert "0 new, 0 changed, 2 unchanged, 0 tried again, 0 gone" in tonight.stdout
        assert shop.asked == ["/a.jpg", "/b.jpg"]
        again = _prepare(*options, "--retry-failed", "--allow-private", "--json")
        assert json.loads(again.stdout)["update"]["retried"] == 1
        assert shop.asked == ["/a.jpg", "/b.jpg", "/b.jpg"]
    assert json.loads(again.stdout)["counts"] == {"input": 2, "kept": 2, "repaired": 0, "set_aside": 0}


def test_warnings_are_printed_with_their_mend_and_kept_in_the_manifest(feed: Path) -> None:
    result = _prepare("feed.csv", "--out", "c")
    warnings = json.loads(Path("c/manifest.json").read_text())["findings"]["warnings"]
    assert warnings
    for warning in warnings:
        assert f"warning: {warning['sentence']} {warning['mend']}\n" in result.stdout


@pytest.mark.parametrize("option", [["--per-host-rate", "0"], ["--workers", "0"], ["--timeout", "0"]])
def test_numbers_out_of_range_are_refused(feed: Path, option: list[str]) -> None:
    result = _prepare("feed.csv", "--out", "c", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


def test_an_update_of_nothing_or_by_another_feed_is_remarked_on(feed: Path) -> None:
    assert (
        "there was no catalogue to update: every row is new\n" in _prepare("feed.csv", "--out", "c", "--update").stderr
    )
    assert "every row is new" not in _prepare("feed.csv", "--out", "c", "--update").stderr
    write_csv(feed, [{"sku": "other", "name": "Mug", "photo": "shirt.jpg"}])
    result = _prepare("feed.csv", "--out", "c", "--update")
    assert "no row of the catalogue before is in this feed: is it the right one?\n" in result.stderr
