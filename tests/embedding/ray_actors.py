"""Actors that die, or are watched, in a module of their own: the processes that load it need no torch."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from item_embed.embedding.ray_engine import _Actor


class Watched(_Actor):
    """Writes down what it embeds, and in which process; takes its time, so that both workers get something."""

    def _embed(self, number: int) -> Any:
        self._write("begun", f"{number} {os.getpid()}")
        time.sleep(0.2)
        return super()._embed(number)

    def _write(self, name: str, line: str) -> None:
        with self._beside(name).open("a", encoding="utf8") as file:
            file.write(f"{line}\n")

    def _beside(self, name: str) -> Path:
        """A file beside the catalogue."""
        return Path(str(self._work.catalog)).with_name(name)


class Killed(Watched):
    """Is ended by shard 3, once."""

    def _embed(self, number: int) -> Any:
        killed = self._beside("killed")
        if number == 3 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._embed(number)


class Hopeless(Watched):
    """Is ended by shard 3, whenever."""

    def _embed(self, number: int) -> Any:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._embed(number)


class Forgetful(Watched):
    """Shard 3 ends, once, the actor that counts how often each was begun."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        killed = self._beside("killed")
        if row["item"] == 3 and not killed.exists():
            killed.touch()
            ray.kill(self._tries, no_restart=False)
        return super().__call__(row)


class Large(Watched):
    """Makes 16 MB of a shard."""

    def _embed(self, number: int) -> Any:
        super()._embed(number)
        return np.zeros((4, 1 << 20), np.float32)
