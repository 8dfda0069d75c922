"""`hybrid:METHOD`: any method that sees titles, its ranking joined with BM25 as `item search --hybrid` does it."""

from dataclasses import dataclass

from item_embed.evaluation.learners.wrapping import Wrapping

PREFIX = "hybrid:"


@dataclass(frozen=True)
class Hybrid(Wrapping):
    """Another method, whose vectors are searched together with words: `measuring.measure_hybrid`."""

    @property
    def prefix(self) -> str:
        """What its name begins with."""
        return PREFIX
