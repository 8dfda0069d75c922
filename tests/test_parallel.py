import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from item_embed.parallel import WorkerError, cores, ordered_map


def slow_first(number: int) -> tuple[int, int]:
    """The first item takes longest, so results come back out of order."""
    time.sleep(0.2 if number == 0 else 0)
    return number, os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_items_from_several_processes() -> None:
    results = list(ordered_map(slow_first, range(8), workers=2))
    assert [number for number, _ in results] == list(range(8))
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_one_worker_is_this_process() -> None:
    assert {process for _, process in ordered_map(slow_first, range(1, 3), workers=1)} == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_taken_only_as_far_ahead_as_needed(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    results = ordered_map(math.sqrt, items(), workers, ahead=2)
    next(results)
    assert len(taken) <= workers * 2
    assert len(list(results)) == 19


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_is_raised_in_its_turn(workers: int) -> None:
    results = ordered_map(fail_at_three, range(10), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(WorkerError, match="fewer --workers"):
        list(ordered_map(die, range(3), workers=2))


_ORPHANS = """
import os, signal, sys, time
from item_embed.parallel import ordered_map
from tests.test_parallel import slow_first
results = ordered_map(slow_first, iter(int, 1), workers=2)
print(next(results)[1], next(results)[1], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The script has no `if __name__` either."""
    script = tmp_path / "script.py"
    script.write_text(_ORPHANS)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    workers = {int(number) for number in done.stdout.split()}
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.1)


def holds_interrupts_back(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_is_left_to_the_parent() -> None:
    assert all(ordered_map(holds_interrupts_back, range(4), workers=2))
    assert not holds_interrupts_back(0)


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
