"""Whose turn it is: jobs wait in a line for each host, and a host is asked no faster than it likes.

A worker never sleeps for one host while another could be asked. A host that fails again and again is given up, so that
a dead one costs the run a minute and not a day. Hosts that have had nothing to do for long are forgotten.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

from item_embed.catalog.photos.reasons import GIVEN_UP, STOPPED

_J = TypeVar("_J")

MOST_FAILURES = 20  # in a row, then the host is given up
MOST_FAILURES_UNMET = 8  # in a row, for a host that has never answered
_MOST_HOSTS = 20_000  # remembered; some 500 bytes each


@dataclass(frozen=True, slots=True)
class Manners:
    """How a host is asked.

    Attributes:
        interval: seconds between the beginnings of two requests.
        connections: requests at a time.
    """

    interval: float
    connections: int


@dataclass(slots=True, eq=False)
class _Host(Generic[_J]):
    manners: Manners
    line: list[tuple[float, int, _J]] = field(default_factory=list)  # a heap by the time from which a job may start
    active: int = 0
    next_start: float = 0.0
    listed: float = inf  # the time under which it stands in the list of hosts
    answered: bool = False  # ever; until then it gets one job at a time
    failures: int = 0
    given_up: str = ""

    def due(self) -> float:
        """When its next job may start."""
        if not self.line or self.active >= (self.manners.connections if self.answered else 1):
            return inf
        return max(self.next_start, self.line[0][0])


class Hosts(Generic[_J]):
    """Lines of jobs, one for each host, from which several workers take.

    Args:
        clock: seconds that never go back.

    Examples:
        >>> hosts = Hosts()
        >>> hosts.add("cdn.example", Manners(0.1, 4), "a job")
        >>> hosts.take()
        ('cdn.example', 'a job')
        >>> hosts.done("cdn.example")
        []
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: OrderedDict[str, _Host[_J]] = OrderedDict()
        self._list: list[tuple[float, int, _Host[_J], str]] = []  # a heap; entries that `listed` disowns are skipped
        self._numbers = count()
        self._changed = threading.Condition()
        self._watcher: int | None = None  # the one worker that waits for the clock; the others wait for it
        self._closed = False

    def add(
        self,
        name: str,
        manners: Manners,
        job: _J,
        *,
        wait: float = 0.0,
        next_in_line: bool = False,
        first: _J | None = None,
    ) -> str | None:
        """Put a job into a host's line.

        Args:
            name: the host.
            manners: how to ask it, if it is new.
            job: what `take` will hand out.
            wait: seconds before which it may not start.
            next_in_line: put it before all others.
            first: a job to do before any other, if the host is new.

        Returns:
            None, or the reason why this host is not asked any more; then the job is not in the line.
        """
        with self._changed:
            if self._closed:
                return STOPPED
            host = self._hosts.get(name)
            if host is None:
                host = self._hosts[name] = _Host(manners)
                self._forget()
                if first is not None:
                    heappush(host.line, (-1.0, next(self._numbers), first))
            else:
                self._hosts.move_to_end(name)
            if host.given_up:
                return host.given_up
            start = 0.0 if next_in_line else self._clock() + wait
            heappush(host.line, (start, next(self._numbers), job))
            self._enlist(name, host)
        return None

    def take(self) -> tuple[str, _J] | None:
        """Wait for a job that may start now, and count it as begun; None once closed.

        Every job taken must be reported with `done`.
        """
        me = threading.get_ident()
        with self._changed:
            while not self._closed:
                taken = self._due_now()
                if taken is not None:
                    if self._list and self._watcher is None:
                        self._changed.notify()
                    return taken
                if self._list and self._watcher is None:
                    self._watcher = me
                    self._changed.wait(self._list[0][0] - self._clock())
                    if self._watcher == me:
                        self._watcher = None
                else:
                    self._changed.wait()
        return None

    def done(
        self,
        name: str,
        *,
        failed: bool = False,
        refused: str = "",
        pause: float = 0.0,
        interval: float = 0.0,
    ) -> list[_J]:
        """Report that a job taken is over.

        Args:
            name: the host.
            failed: whether the host failed, rather than answered.
            refused: a reason never to ask this host again.
            pause: seconds for which the host wants no request.
            interval: seconds that the host wants between requests from now on, if that is longer.

        Returns:
            The jobs of a host that has just been given up; they will not be handed out.
        """
        with self._changed:
            host = self._hosts[name]  # it is active, so it was not forgotten
            host.active -= 1
            host.answered |= not (failed or refused)
            host.failures = host.failures + 1 if failed else 0
            host.next_start = max(host.next_start, self._clock() + pause if pause else 0.0)
            if interval > host.manners.interval:
                host.manners = Manners(interval, host.manners.connections)
                host.next_start = max(host.next_start, self._clock() + interval)
            if refused:
                host.given_up = refused
            elif host.failures >= (MOST_FAILURES if host.answered else MOST_FAILURES_UNMET):
                host.given_up = GIVEN_UP
            if not host.given_up:
                self._enlist(name, host)
                return []
            dropped = [job for _, _, job in host.line]
            host.line.clear()
            return dropped

    def close(self) -> list[_J]:
        """Let `take` return None to everybody, and hand back the jobs that nobody took."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            left = [job for host in self._hosts.values() for _, _, job in host.line]
            self._hosts = OrderedDict((name, host) for name, host in self._hosts.items() if host.active)
            for host in self._hosts.values():
                host.line.clear()
        return left

    def _due_now(self) -> tuple[str, _J] | None:
        now = self._clock()
        while self._list and self._list[0][0] <= now:
            moment, _, host, name = heappop(self._list)
            if moment != host.listed:  # listed again since, under an earlier time
                continue
            host.listed = inf
            if host.due() > now:
                self._enlist(name, host)
                continue
            _, _, job = heappop(host.line)
            host.active += 1
            host.next_start = now + host.manners.interval
            self._enlist(name, host)
            return name, job
        return None

    def _enlist(self, name: str, host: _Host[_J]) -> None:
        moment = host.due()
        if moment >= host.listed:  # what stands there is looked at again when its time comes
            return
        host.listed = moment
        entry = (moment, next(self._numbers), host, name)
        heappush(self._list, entry)
        if self._list[0] is entry:  # whoever watches the clock waits for a later time
            self._watcher = None
            self._changed.notify()

    def _forget(self) -> None:
        now = self._clock()
        for _ in range(min(4, len(self._hosts) - _MOST_HOSTS)):
            name, host = next(iter(self._hosts.items()))
            if host.active or host.line or host.next_start > now:
                self._hosts.move_to_end(name)
            else:
                del self._hosts[name]
