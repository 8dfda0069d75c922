"""What each process of a gang runs, started by torchrun: runs of training one after the other, from a JSON file.

[{"catalog": "CATALOG", "run": "RUN", "overrides": ["training.steps=4"]}]
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from item_embed.catalog.store import Catalog
from item_embed.training.run import pretrain
from tests.tiny import tiny_config


def main(jobs: list[dict[str, Any]]) -> None:
    """Train each; the processes meet once for all."""
    torch.set_num_threads(1)
    dist.init_process_group()
    for job in jobs:
        pretrain(Catalog(Path(job["catalog"])), Path(job["run"]), tiny_config(*job["overrides"]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf8")))
