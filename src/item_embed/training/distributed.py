"""The processes that train one model together, each on its share of every batch; alone, all of this does nothing.

torchrun starts them, accelerate wraps the model (DDP; FSDP2 in `sharding.py`), and torch carries tensors between them:
gloo those in memory, NCCL those on GPUs.
"""

import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from item_embed.errors import ConfigError, LostProcessError

R = TypeVar("R", bound=np.generic)

# How the others are found, besides WORLD_SIZE; torchrun sets them.
_FOUND_BY = ("RANK", "MASTER_ADDR", "MASTER_PORT")

# What gloo says where a process that it talks to is gone; NCCL and the store have errors of their own.
_GONE = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe")

_LETS_GO_WITHIN = 10.0  # seconds that a thread may take to be given a core


@dataclass(frozen=True)
class Processes:
    """One of the processes that train together.

    Attributes:
        rank: which, from 0.
        count: of how many.

    Examples:
        >>> ALONE.share(np.arange(4))
        array([0, 1, 2, 3])
        >>> [Processes(rank, 3).share(np.arange(4)).tolist() for rank in range(3)]
        [[0, 1], [2], [3]]
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes the run's folder."""
        return self.rank == 0

    def share(self, rows: NDArray[R]) -> NDArray[R]:
        """Its part of what all work on: contiguous, the parts in the order of the processes, sizes within one."""
        share: NDArray[R] = np.array_split(rows, self.count)[self.rank]
        return share

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of each value; of tensors of one shape, in memory or on GPUs."""
        if self.count == 1:
            return values
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    def totals(self, counts: dict[str, int]) -> dict[str, int]:
        """The same of counts, whose names are the same everywhere."""
        values = self.total(torch.tensor(list(counts.values()), dtype=torch.int64)).tolist()
        return dict(zip(counts, values, strict=True))

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """The rows of all processes, one's after another's, and where its own begin; gradients find their way back.

        Args:
            rows: (B, ...) of this process; B may differ between processes, the rest may not.
        """
        if self.count == 1:
            return rows, 0
        size = torch.tensor([len(rows)])
        sizes = [torch.empty_like(size) for _ in range(self.count)]
        dist.all_gather(sizes, size)
        lengths = [int(length) for length in sizes]
        gathered: Tensor = _Gathered.apply(rows, lengths, self.rank)  # type: ignore[no-untyped-call]
        return gathered, sum(lengths[: self.rank])

    def once(self, work: Callable[[], object]) -> None:
        """Let one process work while the others wait for it."""
        if self.leads:
            work()
        self.wait()

    def told(self, text: str) -> str:
        """What the process that leads says; all wait for it."""
        if self.count == 1:
            return text
        said = [text]
        dist.broadcast_object_list(said)
        return said[0]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count == 1:
            return
        flag = torch.zeros(())
        held = weakref.ref(flag)
        dist.all_reduce(flag)
        del flag
        # A thread of gloo lets go of a tensor only after it is summed, and asks for Python's lock to do so: where that
        # comes when Python is ending, a process that has done all its work is aborted.
        until = time.monotonic() + _LETS_GO_WITHIN
        while held() is not None and time.monotonic() < until:
            time.sleep(0.001)


#: The only process.
ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun started with this one; `ALONE` where it started none.

    They stay joined until they end: a group that is left before DDP is let go of may hang, in torch 2.13.

    Raises:
        ConfigError: when the environment speaks of others, but does not say how to find them.
        LostProcessError: when another of them ended while this one still needed it.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if missing := [name for name in _FOUND_BY if name not in os.environ]:
        raise ConfigError(
            f"WORLD_SIZE is {count}, but {' and '.join(missing)} is not set: start the processes with torchrun, "
            "or unset WORLD_SIZE to train in this one alone."
        )
    try:
        if not dist.is_initialized():
            _meet()
        yield Processes(dist.get_rank(), count)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or any(sign in str(error) for sign in _GONE):
            raise LostProcessError(
                f"another of the {count} processes that train together has ended, so training stopped; "
                "go on with the same command and --resume."
            ) from error
        raise


def _meet() -> None:
    """As `init_process_group` does, but processes that torchrun starts again do not look for those that have ended."""
    store, rank, count = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own = dist.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group(store=own, rank=rank, world_size=count)


class _Gathered(torch.autograd.Function):
    """Rows of all processes; backwards, each process gets what all others' losses ask of its rows, summed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, lengths: list[int], rank: int) -> Tensor:
        ctx.lengths, ctx.rank = lengths, rank
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        return summed.split(ctx.lengths)[ctx.rank], None, None
