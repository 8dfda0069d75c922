import json
import os
import signal
import sys
from pathlib import Path

import pytest
import typer
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from typer.testing import CliRunner, Result

from item_embed.cli import torchrun
from item_embed.cli.main import app, guarded
from item_embed.cli.processes import restarted
from item_embed.errors import CatalogError, ItemError, LostProcessError


def run(command: object) -> Result:
    alone = typer.Typer(pretty_exceptions_enable=False)
    alone.command()(guarded(command))  # type: ignore[arg-type]
    return CliRunner().invoke(alone, [])


def speak() -> None:
    print("the summary")
    print("a remark", file=sys.stderr)


@pytest.mark.parametrize(
    ("rank", "count", "heard"), [("0", "4", True), ("3", "4", False), ("0", "1", True), ("3", "1", True)]
)
def test_one_of_several_speaks(rank: str, count: str, heard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    result = run(speak)
    assert (result.stdout, result.stderr) == (("the summary\n", "a remark\n") if heard else ("", ""))


def test_only_pretraining_is_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(app, ["embed", "model", "catalog", "--out", str(tmp_path / "vectors")])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: WORLD_SIZE is 2, and only item pretrain works in several processes; start ")
    result = CliRunner().invoke(app, ["pretrain", str(tmp_path / "catalog"), "--out", str(tmp_path / "run")])
    assert "catalog" in result.stderr
    assert "WORLD_SIZE" not in result.stderr


def test_a_failure_is_noted_for_torchrun_and_not_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    result = run(_raising(CatalogError("there is no catalogue.")))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")
    failure = ProcessFailure(0, os.getpid(), 1, str(tmp_path / "error.json"))
    assert torchrun._cause({0: failure}) == "there is no catalogue."
    assert "there is no catalogue." in (tmp_path / "error.json").read_text()


@pytest.mark.parametrize("others", [{}, {"WORLD_SIZE": "1", "TORCHELASTIC_ERROR_FILE": "error.json"}])
def test_one_process_says_it_itself(others: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    assert run(_raising(CatalogError("there is no catalogue."))).stderr == "error: there is no catalogue.\n"


def _raising(error: ItemError) -> object:
    def command() -> None:
        raise error

    return command


def failed(tmp_path: Path, rank: int, status: int, error: ItemError | None = None, at: int = 100) -> ProcessFailure:
    """A process that ended with a status, and left word of an error if there was one."""
    note = tmp_path / f"{rank}.json"
    if error is not None:
        more = {"py_callstack": str(error), "timestamp": str(at), "lost": isinstance(error, LostProcessError)}
        note.write_text(json.dumps({"message": {"message": str(error), "extraInfo": more}}))
    return ProcessFailure(rank, 1234, status, str(note))


def test_the_cause_is_told_and_not_what_followed(tmp_path: Path) -> None:
    killed = failed(tmp_path, 1, -signal.SIGKILL)
    lost = failed(tmp_path, 2, 1, LostProcessError("another ended."), at=50)
    stopped = failed(tmp_path, 0, -signal.SIGTERM)
    own = failed(tmp_path, 3, 1, CatalogError("a photo is broken."), at=60)
    assert torchrun._cause({0: stopped, 1: killed, 2: lost}).startswith("process 1 was ended by SIGKILL, as ")
    assert torchrun._cause({0: stopped, 2: lost, 3: own}) == "a photo is broken."
    assert torchrun._cause({0: stopped, 2: lost}) == "another ended."
    unknown = failed(tmp_path, 5, 3)
    assert torchrun._cause({0: stopped, 5: unknown}).startswith("process 5 ended with status 3 and ")


def test_a_restart_is_one_of_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    assert not restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert not restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert restarted()
