"""The entry point: registers the commands and turns every failure into one sentence."""

import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

import item_embed
from item_embed.cli.console import say
from item_embed.cli.processes import alone, one_voice, tell
from item_embed.errors import ItemError

# In the order of the work. Each names a module of this package with a function `command`, those of two words one in a
# package that says what they have in common; the modules import nothing heavy themselves, so `item --help` stays fast.
COMMANDS = (
    "demo",
    "draw",
    "prepare",
    "pretrain",
    "whiten",
    "embed",
    "export",
    "index",
    "search",
    "duplicates",
    "explain",
    "evaluate",
    "compare",
    "ablate",
    "serve",
    "classify fit",
    "classify predict",
)

# What several processes do together, each a share.
_TOGETHER = ("pretrain",)

app = typer.Typer(
    name="item",
    help="One vector per product, learned from its photo and its title together, without labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line."""
    app()


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that its failures end as one sentence on stderr, exit status 1, and no traceback.

    With ITEM_DEBUG=1 in the environment, unexpected errors keep their traceback.
    """

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            with one_voice():
                command(*args, **options)
        except ItemError as error:
            tell(error, str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer ends these quietly, or with the usage
        except Exception as error:
            if os.environ.get("ITEM_DEBUG"):
                raise
            tell(error, f"unexpected {type(error).__name__}: {error} (set ITEM_DEBUG=1 for the traceback)")
            raise typer.Exit(1) from None

    return run


@functools.cache
def _group_of(name: str) -> typer.Typer:
    """The commands that share a first word."""
    said = import_module(f"item_embed.cli.{name}").__doc__ or ""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=said.partition(": ")[2].strip().capitalize())
    app.add_typer(group, name=name)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        print(item_embed.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


for _name in COMMANDS:
    *_group, _verb = _name.split()
    _command = import_module(".".join(["item_embed.cli", *_group, _verb])).command
    _guarded = guarded(_command if _name in _TOGETHER else alone(_command, _name))
    (_group_of(*_group) if _group else app).command(_verb)(_guarded)
