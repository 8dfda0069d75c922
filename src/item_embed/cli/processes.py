"""A command in several processes, as torchrun starts them: one speaks, and each leaves a note of why it ended."""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from item_embed.cli.console import say
from item_embed.errors import ConfigError, LostProcessError


def alone(command: Callable[..., None], name: str) -> Callable[..., None]:
    """Refuse a command in several processes, where each would do all its work."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        if _count() > 1:
            raise ConfigError(
                f"WORLD_SIZE is {_count()}, and only item pretrain works in several processes; "
                f"start item {name} without torchrun or accelerate launch."
            )
        command(*args, **options)

    return run


@contextmanager
def one_voice() -> Iterator[None]:
    """Silence all processes but the first."""
    if _count() == 1 or os.environ.get("RANK", "0") == "0":
        yield
        return
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        yield


def tell(error: Exception, sentence: str) -> None:
    """Say why a command fails; in several processes, leave it to torchrun, which hears all, in the file it looks for.

    Args:
        error: what was raised.
        sentence: what to say of it.
    """
    note = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if _count() == 1 or note is None:
        say(f"error: {sentence}")
        return
    more = {
        "py_callstack": sentence,  # what torchrun shows
        "timestamp": str(int(time.time())),
        "lost": isinstance(error, LostProcessError),
    }
    Path(note).write_text(json.dumps({"message": {"message": sentence, "extraInfo": more}}), encoding="utf8")


def restarted() -> bool:
    """Whether torchrun started the command again, by --max-restarts, after a process had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
