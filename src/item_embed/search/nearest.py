"""Nearest rows of a store: by the snapshot's graph, and exactly among what the graph does not know.

A small index has no snapshot: all its vectors are held in memory and searched exactly. The graph is derived: where it
is missing or damaged everything is searched exactly, until the next change writes a new one.
"""

import re
import shutil
from contextlib import ExitStack, suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from item_embed.files import OutputError, locked, whole_folder
from item_embed.progress import OnProgress, silent
from item_embed.search.conditions import Condition
from item_embed.search.held import HeldVectors, Nearest
from item_embed.search.snapshot import GraphBuilder, Snapshot
from item_embed.search.store import State, Store

#: Up to so many products are searched exactly: at 192 numbers that takes some milliseconds.
EXACT_ROWS = 50_000

_NEW_SHARE = 0.01  # of the graph's rows: more new ones than these, and than a fifth of `EXACT_ROWS`, go into it
_CONDITIONS = 16  # filters whose rows are kept in memory
_DEAD_SHARE = 0.2  # of the graph's rows: with more of them gone it is made anew
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError)  # what a snapshot raises that is lost or damaged
_OURS = re.compile(r"\.?snapshot-\d+(\.item-(partial|replaced))?")


class _Passing(NamedTuple):
    """The rows for which a condition holds, ascending, and where those of them lie that the snapshot has."""

    rows: NDArray[np.int64]
    places: NDArray[np.int64] | None


class NearestRows:
    """What a process keeps in memory of a store, in step with it.

    Args:
        store: the truth.
        dimension: how many numbers a vector has.
    """

    def __init__(self, store: Store, dimension: int) -> None:
        self._store = store
        self._dimension = dimension
        self._state = State(-1, None, 0, -1)
        self._last_row = 0
        self._held = HeldVectors(dimension)
        self._snapshot: Snapshot | None = None
        self._passed: dict[Condition, _Passing] = {}

    def __len__(self) -> int:
        return len(self._held) + (len(self._snapshot) if self._snapshot else 0)

    def catch_up(self) -> None:
        """Read what has changed since the last time; to be called while the store is read."""
        state = self._store.state()
        if state.snapshot != self._state.snapshot or state.floor > self._state.removed:
            self._begin(state)
        elif state.version != self._state.version:
            self._drop(self._store.removed_after(self._state.removed))
        else:
            return
        self._passed.clear()
        for rows, ties, vectors in self._store.vectors_after(self._last_row, self._dimension):
            self._held.add(rows, ties, vectors)
            self._last_row = int(rows[-1])
        self._state = state

    def search(self, queries: NDArray[np.float32], k: int, where: Condition | None = None) -> Nearest:
        """The k nearest rows of every query; equal scores by tie key.

        Args:
            queries: (Q, d) unit vectors.
            k: how many rows each query gets.
            where: what must hold of a row; by default any may be found.
        """
        passing = None if where is None else self._passing(where)
        if self._snapshot is None:
            return self._held.search(queries, k, passing and passing.rows)
        graph = self._snapshot.search(queries, k, passing and passing.places)
        if not len(self._held):
            return graph
        held = self._held.search(queries, k, passing and passing.rows)
        cosines, ties = np.hstack([graph.cosines, held.cosines]), np.hstack([graph.ties, held.ties])
        order = np.lexsort((ties, -cosines))[:, :k]
        rows = np.take_along_axis(np.hstack([graph.rows, held.rows]), order, axis=1)
        return Nearest(rows, np.take_along_axis(cosines, order, axis=1), np.take_along_axis(ties, order, axis=1))

    def fold(self, on_progress: OnProgress = silent) -> None:
        """Write a new snapshot if enough has changed since the last; others go on searching by the old one meanwhile.

        Args:
            on_progress: told of the rows that have gone into the graph and of their total.

        Raises:
            OutputError: when it cannot be written; nothing is lost by that.
        """
        with self._store.reading():
            self.catch_up()
        if not self._is_due():
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._store.folder / "snapshot"))
            except OutputError:
                return  # another process is at it
            try:
                self._fold(on_progress)
            except (OSError, OutputError) as error:
                raise self._unwritten(error) from error

    def _passing(self, where: Condition) -> _Passing:
        """The rows for which a condition holds: read once, and known until something changes."""
        if where not in self._passed:
            if len(self._passed) == _CONDITIONS:
                del self._passed[next(iter(self._passed))]
            rows = self._store.rows_where(where)
            self._passed[where] = _Passing(rows, None if self._snapshot is None else self._snapshot.places(rows))
        return self._passed[where]

    def _begin(self, state: State) -> None:
        self._held = HeldVectors(self._dimension)
        self._snapshot = None
        self._last_row = 0
        if state.snapshot is not None:
            try:
                self._snapshot = Snapshot(self._store.folder / state.snapshot)
            except _UNREADABLE:
                return
            self._last_row = self._snapshot.last_row
            self._drop(self._store.removed_after(state.floor))

    def _drop(self, rows: NDArray[np.int64]) -> None:
        self._held.drop(rows)
        if self._snapshot is not None:
            self._snapshot.drop(rows)

    def _is_due(self) -> bool:
        if self._snapshot is None:
            return len(self._held) > EXACT_ROWS or self._state.removed - self._state.floor > EXACT_ROWS
        return self._is_worn() or len(self._held) > max(EXACT_ROWS // 5, _NEW_SHARE * len(self._snapshot))

    def _is_worn(self) -> bool:
        graph = self._snapshot
        return graph is None or graph.dead > _DEAD_SHARE * (len(graph) + graph.dead)

    def _fold(self, on_progress: OnProgress) -> None:
        """Write a snapshot of what is there now, let readers use it, and remove all others."""
        with self._store.reading():
            self.catch_up()
            if not self._is_due():  # another process was faster
                return
            graph, floor = self._begun()
            name = None
            if len(self) > EXACT_ROWS:
                name = f"snapshot-{self._state.version}"
                for part in self._store.vectors_after(graph.last_row, self._dimension):
                    graph.add(*part)
                    on_progress(len(graph), max(len(graph), len(self)))
                with whole_folder(self._store.folder / name) as aside:
                    graph.save(aside)
        with self._store.writing():
            self._store.use_snapshot(name, floor)
        for entry in self._store.folder.iterdir():
            if _OURS.fullmatch(entry.name) and entry.name != name:
                shutil.rmtree(entry, ignore_errors=True)
        with self._store.reading():
            self.catch_up()

    def _begun(self) -> tuple[GraphBuilder, int]:
        """The graph to go on with, and how many rows had gone when it was begun."""
        if self._state.snapshot is not None and not self._is_worn():
            with suppress(*_UNREADABLE):  # lost since it was opened: begin anew
                return GraphBuilder.of(self._store.folder / self._state.snapshot), self._state.floor
        return GraphBuilder(self._dimension), self._state.removed

    def _unwritten(self, error: Exception) -> OutputError:
        return OutputError(
            f"all products are in {self._store.name}, but what makes its search fast cannot be written ({error}); "
            "it goes on, right and slower: free some space, and the next change tries again."
        )
