"""torchrun for `item pretrain`: the same options, and where a process fails, one sentence that says why.

python -m item_embed.cli.torchrun --nproc-per-node 4 pretrain CATALOG --out RUN
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from item_embed.cli.console import say

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def main(arguments: list[str] | None = None) -> None:
    """Run a command in several processes; None: as the command line says."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns of every weight that is always used

    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # or it reports before we can
    options = torchrun.parse_args(arguments)
    options.training_script_args.insert(0, options.training_script)
    options.module, options.training_script = True, "item_embed.cli"
    try:
        torchrun.run(options)
    except ChildFailedError as error:
        say(f"error: {_cause(error.failures)}")
        sys.exit(1)
    except (KeyboardInterrupt, SignalException):
        sys.exit(130)


def _cause(failures: "Mapping[int, ProcessFailure]") -> str:
    """What failed first, in a sentence; others fail because of it."""

    def order(rank: int) -> tuple[bool, bool, int]:
        failure = failures[rank]
        stopped = failure.exitcode == -signal.SIGTERM  # by torchrun, as one had failed
        return stopped, _lost(failure.message), failure.timestamp

    rank = min(failures, key=order)
    failure = failures[rank]
    note: object = failure.message  # torch calls it a string, and gives the process's own where it left one
    if isinstance(note, dict):
        return str(note["message"])
    ended = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else f"ended with status {failure.exitcode}"
    why = ", as happens where memory runs out," if failure.exitcode == -signal.SIGKILL else ""
    return f"process {rank} {ended}{why} and the others were stopped; go on with the same command and --resume."


def _lost(note: object) -> bool:
    """Whether a process left word that it ended because another had."""
    return isinstance(note, dict) and bool(note.get("extraInfo", {}).get("lost"))


if __name__ == "__main__":
    main()
