"""A run of `prepare` that ends anywhere and is started again makes the catalogue that it would have made."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from item_embed import files
from item_embed.catalog import chunks, writing
from item_embed.catalog.photos.downloading import DownloadLimits
from item_embed.catalog.preparing import prepare
from item_embed.catalog.report.page import write_report
from item_embed.catalog.settling import settle
from item_embed.catalog.spool import Spool
from item_embed.catalog.writing import write_part
from tests.catalog.made import encoded, picture, write_csv

_TIMES = re.compile(rb"\d{4}-\d\d-\d\d.{1,10}\d\d:\d\d(?::\d\d\+00:00)?")


def _feed(folder: Path, rows: int) -> Path:
    """Rows with photos, repeated ids, rows to set aside."""
    (folder / "images").mkdir(parents=True)
    for number in range(7):
        (folder / f"images/{number}.jpg").write_bytes(encoded(picture(96, 128, number), "JPEG"))
    return write_csv(
        folder / "feed.csv",
        [
            {
                "id": str(n if n % 10 else n // 20),
                "title": f"Shirt {n}" if n % 13 else "",
                "image": f"images/{n % 9}.jpg",
            }
            for n in range(rows)
        ],
    )


def _content(folder: Path, name: str) -> dict[str, bytes]:
    """Every file of the catalogue that was made in a folder under this name, but for times and the name."""
    catalog = folder / name
    found = sorted(file for file in catalog.rglob("*") if file.is_file())
    plain = {file: _TIMES.sub(b"", file.read_bytes()).replace(name.encode(), b"") for file in found}
    return {str(file.relative_to(catalog)): content for file, content in plain.items()}


class _Killed(BaseException):
    """Passes through everything that expects errors, as the end of a process would."""


@pytest.mark.parametrize("at", range(9))
def test_a_run_goes_on_from_wherever_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ended after the `at`-th of its steps: four chunks, three row files, the report, the renaming."""
    monkeypatch.setattr(chunks, "ROWS", 10)
    monkeypatch.setattr(writing, "ROWS_PER_FILE", 12)
    monkeypatch.chdir(tmp_path)  # the report shortens long paths
    feed = _feed(tmp_path / "shop", 40)
    prepare(feed, "whole/catalog")
    steps: list[str] = []

    def ending(step: Callable[..., Any], name: str) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            if len(steps) == at:
                raise _Killed
            steps.append(name)
            return step(*arguments, **options)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "write", ending(Spool.write, "chunk"))
        for name, step in (("write_part", write_part), ("write_report", write_report)):
            patch.setattr(f"item_embed.catalog.preparing.{name}", ending(step, name))
        patch.setattr(files, "_put_in_place", ending(files._put_in_place, "rename"))
        with pytest.raises(_Killed):
            prepare(feed, "again/catalog")
    assert steps == [*["chunk"] * 4, *["write_part"] * 3, "write_report", "rename"][:at]
    assert not (tmp_path / "again/catalog").exists()
    checked: list[int] = []
    real = Spool.write

    def count(spool: Spool, number: int, rows: Any) -> None:
        checked.append(number)
        real(spool, number, rows)

    monkeypatch.setattr(Spool, "write", count)
    prepare(feed, "again/catalog")
    assert checked == list(range(min(at, 4), 4))  # what was checked is not checked again
    assert _content(tmp_path, "again/catalog") == _content(tmp_path, "whole/catalog")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["catalog"]


@pytest.mark.parametrize("change", ["none", "feed", "columns", "images", "downloads"])
def test_another_feed_or_other_options_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setattr(chunks, "ROWS", 10)
    feed = _feed(tmp_path / "shop", 40)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("item_embed.catalog.preparing.settle", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(feed, tmp_path / "catalog")
    options: dict[str, Any] = {}
    match change:
        case "feed":
            feed.write_text(feed.read_text().replace("Shirt", "Blouse"))
        case "columns":
            options = {"columns": {"title": "image", "image": "title"}}
        case "images":
            options = {"images": tmp_path}
        case "downloads":
            options = {"downloads": DownloadLimits(allow_private=True)}
    checked: list[int] = []
    real = Spool.write

    def count(spool: Spool, number: int, rows: Any) -> None:
        checked.append(number)
        real(spool, number, rows)

    monkeypatch.setattr(Spool, "write", count)
    again = prepare(feed, tmp_path / "catalog", **options)
    assert checked == ([] if change == "none" else [0, 1, 2, 3])
    assert again.files == prepare(feed, tmp_path / "fresh", **options).files


def test_two_runs_do_not_write_one_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = _feed(tmp_path / "shop", 20)
    refused: list[str] = []

    def meanwhile(*arguments: Any) -> Any:
        with pytest.raises(files.OutputError, match="is being written by another process") as raised:
            prepare(feed, tmp_path / "catalog")
        refused.append(str(raised.value))
        return settle(*arguments)

    monkeypatch.setattr("item_embed.catalog.preparing.settle", meanwhile)
    prepare(feed, tmp_path / "catalog")
    assert len(refused) == 1


_RUN = "import sys; from item_embed.catalog.preparing import prepare; prepare(sys.argv[1], sys.argv[2], workers=2)"


def _start(feed: Path, folder: Path, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", _RUN, str(feed), name], cwd=folder, start_new_session=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A feed, where its catalogue is, and how long that took."""
    folder = tmp_path_factory.mktemp("killed")
    feed = _feed(folder / "shop", 9000)
    began = time.monotonic()
    assert _start(feed, folder, "whole/catalog").wait() == 0
    return feed, folder, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_kill_9_at_any_point_and_run_again(uninterrupted: tuple[Path, Path, float], tmp_path: Path, seed: int) -> None:
    feed, folder, seconds = uninterrupted
    run = _start(feed, tmp_path, "again/catalog")
    time.sleep(random.Random(seed).uniform(0, 1) * seconds)
    os.kill(run.pid, signal.SIGKILL)  # the parent alone: workers must see to themselves
    run.wait()
    assert _start(feed, tmp_path, "again/catalog").wait() == 0 or (tmp_path / "again/catalog").exists()
    assert _content(tmp_path, "again/catalog") == _content(folder, "whole/catalog")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["catalog"]
