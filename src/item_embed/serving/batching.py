"""Requests gathered for what is faster by the batch: the encoder, and the search.

One thread does the work. While it does, what comes waits in a bounded queue; the next batch is what waits then. So
batches grow with the load, and a single request waits no longer than `wait`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Generic, TypeVar

from item_embed.serving.limits import RefusedError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class _Entry(Generic[Asked, Answer]):
    """One that waits, and whoever waits for it."""

    asked: Asked
    future: "asyncio.Future[Answer]"


class Batcher(Generic[Asked, Answer]):
    """Gives what is asked for at about the same time to a function together.

    Args:
        work: from a batch to its answers, in their order; called in a thread of its own. An answer that is an exception
            is raised for the one who asked. If the whole batch fails, each of it is tried by itself.
        name: of the thread, and of what is full.
        most: how many a batch has at most.
        room: how many may wait.
        wait: for more to come, when there is nothing to do, seconds.

    Examples:
        >>> async def doubled() -> list[int]:
        ...     batcher = Batcher(lambda batch: [2 * number for number in batch], name="doubling")
        ...     async with batcher:
        ...         return await batcher.all([1, 2])
        >>> asyncio.run(doubled())
        [2, 4]
    """

    def __init__(
        self,
        work: Callable[[list[Asked]], Sequence[Answer | Exception]],
        *,
        name: str,
        most: int = 32,
        room: int = 256,
        wait: float = 0.002,
    ) -> None:
        self._work, self._name, self._most, self._room, self._wait = work, name, most, room, wait
        self._queue: deque[_Entry[Asked, Answer]] = deque()
        self._changed = Condition()
        self._stopping = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def __aenter__(self) -> "Batcher[Asked, Answer]":
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._thread = Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish what waits, and take nothing new."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def one(self, asked: Asked) -> Answer:
        """The answer to one."""
        (answer,) = await self.all([asked])
        return answer

    async def all(self, asked: Sequence[Asked]) -> list[Answer]:
        """The answers to several, which wait together or not at all.

        Whoever is cancelled while they wait, takes them from the queue.

        Raises:
            RefusedError: when there is no room, or the service stops.
        """
        loop = asyncio.get_running_loop()
        entries = [_Entry[Asked, Answer](one, loop.create_future()) for one in asked]
        with self._changed:
            if self._stopping:
                raise RefusedError.busy("the service is stopping")
            if len(self._queue) + len(entries) > self._room:
                raise RefusedError.busy(f"{self._name} has no room for {len(entries)} more")
            self._queue.extend(entries)
            self._changed.notify()
        try:
            return [await entry.future for entry in entries]
        finally:
            self._forget(entries)

    def _forget(self, entries: list[_Entry[Asked, Answer]]) -> None:
        """Take from the queue what nobody waits for any more."""
        left = {entry for entry in entries if not entry.future.done() or entry.future.cancelled()}
        for entry in entries:
            if not entry.future.cancel() and not entry.future.cancelled():
                entry.future.exception()  # seen: of several that fail, only the first is raised
        if left:
            with self._changed:
                waiting = [entry for entry in self._queue if entry not in left]
                self._queue.clear()
                self._queue.extend(waiting)

    def _run(self) -> None:
        while batch := self._next():
            answers = self._answers([entry.asked for entry in batch])
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_deliver, batch, answers)

    def _next(self) -> list[_Entry[Asked, Answer]]:
        """The next batch; nothing when the service stops."""
        with self._changed:
            while True:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if not self._queue:
                    return []
                until = time.monotonic() + self._wait
                while 0 < len(self._queue) < self._most and not self._stopping:
                    left = until - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                if self._queue:  # else all have gone meanwhile
                    return [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]

    def _answers(self, asked: list[Asked]) -> Sequence[Answer | Exception]:
        try:
            return self._work(asked)
        except Exception as error:
            return [error] if len(asked) == 1 else [self._answers([one])[0] for one in asked]


def _deliver(batch: "list[_Entry[Asked, Answer]]", answers: Sequence[Answer | Exception]) -> None:
    for entry, answer in zip(batch, answers, strict=True):
        if entry.future.done():  # nobody waits for it any more
            continue
        if isinstance(answer, Exception):
            entry.future.set_exception(answer)
        else:
            entry.future.set_result(answer)
