"""Runs of training by several processes: `run_gang` starts them with torchrun, and `main` is what each of them does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from item_embed.catalog.store import Catalog
from item_embed.training.run import pretrain
from tests.tiny import tiny_config

ROOT = Path(__file__).parents[2]


def run_gang(count: int, jobs: list[dict[str, Any]]) -> None:
    """Train in so many processes, one run after the other.

    Args:
        count: of processes.
        jobs: `{"catalog": "CATALOG", "run": "RUN", "overrides": ["training.steps=4"], "resume": False}`.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    command += ["-m", "tests.training.gang", json.dumps(jobs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr


def environment() -> dict[str, str]:
    """Of processes that share two cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def main(jobs: list[dict[str, Any]]) -> None:
    """Train each; the processes meet once for all."""
    torch.set_num_threads(1)
    dist.init_process_group()
    for job in jobs:
        config = tiny_config(*job["overrides"])
        pretrain(Catalog(Path(job["catalog"])), Path(job["run"]), config, resume=job.get("resume", False))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
