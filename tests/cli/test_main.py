import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import item_embed
from item_embed.cli.main import COMMANDS, app, guarded
from item_embed.errors import FeedError


def _item(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from item_embed.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.output.partition("Commands:")[2].splitlines() if line.strip()]
    first = list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    assert [name for name in listed if name in first] == first


@pytest.mark.parametrize("group", [[], ["classify"]])
def test_no_sentence_of_a_list_of_commands_is_cut(group: list[str]) -> None:
    listed = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "80"}).output.partition("Commands:")[2]
    assert listed
    for line in listed.splitlines():
        assert not line.endswith(("...", "…")), line
        assert len(line) <= 80, line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, json\n"
        "from item_embed.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "pyarrow", "numpy", "PIL", "pydantic", "sklearn", "scipy"})


def test_version() -> None:
    assert _item("--version").stdout == f"{item_embed.__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    run = _item("frobnicate")
    assert run.returncode == 2
    assert "No such command 'frobnicate'" in run.stderr


def _run(error: BaseException) -> tuple[int, str]:
    def command() -> None:
        raise error

    alone = typer.Typer(pretty_exceptions_enable=False)
    alone.command()(guarded(command))
    result = CliRunner().invoke(alone, [])
    assert result.stdout == ""
    return result.exit_code, result.stderr


def test_an_error_of_the_user_is_one_sentence() -> None:
    assert _run(FeedError("there is no file x.csv.")) == (1, "error: there is no file x.csv.\n")


def test_an_interruption_is_one_word() -> None:
    assert _run(KeyboardInterrupt()) == (130, "interrupted\n")


def test_an_unexpected_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ITEM_DEBUG", raising=False)
    code, text = _run(ValueError("no such thing"))
    assert (code, text) == (1, "error: unexpected ValueError: no such thing (set ITEM_DEBUG=1 for the traceback)\n")


def test_debugging_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITEM_DEBUG", "1")
    assert _run(ValueError("no such thing")) == (1, "")  # the runner holds the exception


def test_a_usage_error_of_a_command_stays_one() -> None:
    code, text = _run(typer.BadParameter("must be positive"))
    assert code == 2
    assert "must be positive" in text
