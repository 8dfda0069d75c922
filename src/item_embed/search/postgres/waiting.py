"""A connection that does not wait for ever for a server that is there and says nothing.

A slow search is ended by the server itself (`statement_timeout`). One that hangs, or a network that swallows what is
sent, cannot be asked to: so the waiting is ended here, some seconds later.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import errors

#: Seconds beyond a statement's that the server has for saying that it ended it.
GRACE = 5.0

Found = TypeVar("Found")


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose `limit` says how long a statement may take, seconds; None: as long as it takes."""

    limit: float | None = None

    def wait(self, gen: Generator[Any, Any, Found], *interval: Any, **named: Any) -> Found:
        """Work off a statement.

        Raises:
            QueryCanceled: when it took longer; the connection is closed, since nobody knows what became of it.
        """
        if self.limit is None:
            return super().wait(gen, *interval, **named)
        try:
            return super().wait(_within(gen, self.limit + GRACE), *interval, **named)
        except _NoAnswer:
            self.pgconn.finish()
            raise


class _NoAnswer(errors.QueryCanceled):
    """The server said nothing at all."""


def _within(steps: Generator[Any, Any, Found], seconds: float) -> Generator[Any, Any, Found]:
    """The same steps, which psycopg goes on with now and then even if nothing has come."""
    end = monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() > end:
                raise _NoAnswer("no answer")
            wanted = steps.send(ready)
    except StopIteration as done:
        found: Found = done.value
        return found
