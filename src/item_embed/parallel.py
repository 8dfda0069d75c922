"""Work on several cores: one function over many items, results in order, processes that never outlive their parent."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from item_embed.errors import ItemError

_T = TypeVar("_T")
_R = TypeVar("_R")
_LOOKS_EVERY = 0.5  # seconds between a worker's looks at whether its parent still lives


class WorkerError(ItemError):
    """A worker process ended before its work did."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(function: Callable[[_T], _R], items: Iterable[_T], workers: int, ahead: int = 2) -> Generator[_R]:
    """Apply a function to items in several processes and yield the results in the order of the items.

    Processes are started fresh (loky), so a script needs no `if __name__ == "__main__"`, and a parent with threads does
    no harm. They end with their parent, however it ends.

    Args:
        function: of one item; found by its name in its module, as pickling demands.
        items: taken one by one, only as far ahead as the work needs.
        workers: how many processes; with 1 or less everything happens in this one.
        ahead: at most `workers * ahead` items are taken whose results have not been yielded.

    Raises:
        WorkerError: when a process dies, as the system lets it where memory runs out.

    Examples:
        >>> list(ordered_map(abs, [-2, 1, -3], workers=1))
        [2, 1, 3]
    """
    yield from map_beside(function, items, workers if workers > 1 else 0, ahead)


def map_beside(function: Callable[[_T], _R], items: Iterable[_T], workers: int, ahead: int = 2) -> Generator[_R]:
    """`ordered_map` for work beside that of this process: even one worker is another process, and 0 is none."""
    if workers < 1:
        yield from map(function, items)
        return
    from loky import ProcessPoolExecutor  # costs nothing where one process is enough
    from loky.process_executor import BrokenProcessPool

    # One thread of a numerical library in each: they share the cores among them already.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    pool = ProcessPoolExecutor(workers, timeout=None, initializer=_end_with, initargs=(os.getpid(),), env=alone)
    waiting: deque[Future[_R]] = deque()
    done = False
    try:
        for item in items:
            with _interrupts_later():  # the first one starts the processes
                waiting.append(pool.submit(function, item))
            if len(waiting) >= workers * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        done = True
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process was ended from outside, as happens where memory runs out; give fewer --workers."
        ) from None
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(kill_workers=not done)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold Ctrl-C back; processes that start meanwhile never get one, and leave it to their parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """Let this worker end soon after its parent, which cannot tell it to when it is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOKS_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
