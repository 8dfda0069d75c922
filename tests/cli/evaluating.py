"""How tests run `item evaluate`."""

import json

import typer
from typer.testing import CliRunner, Result

from item_embed.cli import evaluate
from item_embed.cli.main import guarded


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(evaluate.command))
    return CliRunner().invoke(app, [*map(str, arguments)])


def shown(*arguments: object) -> dict[str, object]:
    """The object printed with --json, which is all that goes to stdout."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "unexpected" not in last
    return last
