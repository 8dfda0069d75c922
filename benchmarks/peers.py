"""Whom `index.py` asks, and what it asks of each in a process of its own."""

from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import Any

import psutil
from clustered import Bench
from peers_here import Faiss, Found, Hnswlib, Ours, Peer, Usearch
from peers_in_postgres import OursInPostgres, Pgvector, PgvectorLists

SECONDS = 0.5  # that a method may be asked one by one in a turn

PEERS: dict[str, type[Peer]] = {
    "ProductIndex": Ours,
    "faiss": Faiss,
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "ProductIndex in PostgreSQL": OursInPostgres,
    "pgvector HNSW": Pgvector,
    "pgvector IVFFlat": PgvectorLists,
}


class Asked:
    """What a process does with a method."""

    def __init__(self, bench: Bench, peer: type[Peer], server: str | None) -> None:
        self.bench = bench
        self.peer = peer(bench, server)

    def build(self) -> dict[str, Any]:
        """Make it: seconds, bytes of memory at the most, bytes on disk."""
        row = {"build": _seconds(self.peer.build)}
        return row | {"peak": getrusage(RUSAGE_SELF).ru_maxrss * 1024, "disk": self.peer.disk()}

    def open(self) -> dict[str, Any]:
        """Open it, and say what can be asked."""
        self.before = psutil.Process().memory_info().rss
        self.peer.open()
        return {"shares": self.peer.shares, "breadths": self.peer.breadths}

    def singles(self, share: str, breadth: int, start: int, stop: int) -> tuple[list[float], float]:
        """Ask some queries one by one: the seconds of each, as many as half a second allows, and of CPU in all."""
        taken: list[float] = []
        before = self.peer.cpu()
        for query in self.bench.queries[start:stop, None]:
            taken.append(_seconds(lambda query=query: self.peer.search(query, share, breadth)))  # type: ignore[misc]
            if sum(taken) > SECONDS:
                break
        return taken, self.peer.cpu() - before

    def batch(self, share: str, breadth: int) -> tuple[float, float]:
        """Ask many queries at once: how many a second, and the seconds of CPU of each."""
        count, before = min(self.peer.at_once, len(self.bench.queries)), self.peer.cpu()
        rate = count / _seconds(lambda: self.found(share, breadth))
        return rate, (self.peer.cpu() - before) / count

    def found(self, share: str, breadth: int) -> Found:
        """What is found for as many queries."""
        return self.peer.search(self.bench.queries[: self.peer.at_once], share, breadth)

    def memory(self) -> int:
        """Bytes of memory that it has come to hold."""
        return int(psutil.Process().memory_info().rss - self.before)

    def update(self) -> float:
        """Change a part of the products: the seconds that it takes."""
        return self.peer.update()


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
