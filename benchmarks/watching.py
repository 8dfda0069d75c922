"""Runs a command of the package in a process of its own, and watches what it and its children take.

Memory is the proportional set size, so that pages which processes share count once.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

_SAMPLES_EVERY = 0.5  # seconds


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: by the wall clock.
        cpu: seconds of all cores.
        memory: largest sum over its processes, bytes.
    """

    seconds: float
    cpu: float
    memory: int


def run_item(arguments: Sequence[str]) -> Cost:
    """Run one command of the package in a process of its own and watch it."""
    code = "from item_embed.cli.main import main; main()"
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    watch = _Watch(process.pid)
    watch.start()
    if process.wait():
        sys.exit(f"item {' '.join(arguments)} failed")
    seconds = time.monotonic() - began
    watch.join()
    return Cost(seconds, watch.cpu, watch.memory)


class _Watch(threading.Thread):
    """Samples a process and its children until it ends."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(process)
        self._cpu: dict[int, float] = {}
        self.memory = 0

    @property
    def cpu(self) -> float:
        """Seconds that all of them worked, up to the last sample of each."""
        return sum(self._cpu.values())

    def run(self) -> None:
        while True:
            try:
                family = [self._root, *self._root.children(recursive=True)]
            except psutil.Error:
                return
            self.memory = max(self.memory, sum(self._sample(member) for member in family))
            if self._root.status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(_SAMPLES_EVERY)

    def _sample(self, process: psutil.Process) -> int:
        try:
            times = process.cpu_times()
            self._cpu[process.pid] = times.user + times.system
            return int(process.memory_full_info().pss)
        except psutil.Error:
            return 0
