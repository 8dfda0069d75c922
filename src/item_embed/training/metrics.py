"""What a run writes down: means over the steps since the last line, to `metrics.jsonl` and TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from item_embed.files import whole_file
from item_embed.objectives.loss import Loss
from item_embed.training.distributed import ALONE, Processes


class Means:
    """Sums and counts of losses and metrics; exact when saved as JSON and read again."""

    def __init__(self, sums: Mapping[str, float] | None = None, counts: Mapping[str, int] | None = None) -> None:
        self.sums = dict(sums or {})
        self.counts = dict(counts or {})

    def add(self, losses: Mapping[str, Loss], processes: Processes = ALONE) -> None:
        """Count the losses of part of a batch, all processes' shares of it."""
        named = [(key, value, loss.count) for name, loss in losses.items() for key, value in _keyed(name, loss)]
        values = torch.stack([value.detach().double() for _, value, _ in named]).cpu()  # one transfer
        counts = torch.tensor([count for _, _, count in named], dtype=torch.float64)
        sums, counted = processes.total(torch.stack([values, counts])).tolist()
        for (key, _, _), value, count in zip(named, sums, counted, strict=True):
            self.sums[key] = self.sums.get(key, 0.0) + value
            self.counts[key] = self.counts.get(key, 0) + int(count)

    def result(self) -> dict[str, dict[str, float]]:
        """`{"losses": {objective: mean}, "metrics": {metric: mean}}`; what had no prediction is left out."""
        result: dict[str, dict[str, float]] = {"losses": {}, "metrics": {}}
        for key, count in self.counts.items():
            kind, _, name = key.partition("/")
            if count:
                result[kind][name] = self.sums[key] / count
        return result

    def state(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {"sums": self.sums, "counts": self.counts}


def _keyed(objective: str, loss: Loss) -> list[tuple[str, Tensor]]:
    metrics = [(f"metrics/{name}", value) for name, value in loss.metrics.items()]
    return [(f"losses/{objective}", loss.total), *metrics]


class MetricsLog:
    """`RUN/metrics.jsonl`, a JSON object per line, and the same numbers for TensorBoard.

    Args:
        run: the run's folder.
        step: steps done: later lines, of a run that was killed after its last checkpoint, are dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "metrics.jsonl"
        lines = self.path.read_text(encoding="utf8").splitlines(keepends=True) if self.path.is_file() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with whole_file(self.path) as aside:  # killed here, a run loses no line
            aside.write_text("".join(kept), encoding="utf8")
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record with keys `step` and `split`; its numbers, nested or not, go to TensorBoard."""
        with self.path.open("a", encoding="utf8") as file:
            file.write(json.dumps(record) + "\n")
        for key, value in record.items():
            group = value if isinstance(value, dict) else {key: value}
            for name, number in group.items():
                if isinstance(number, float):
                    tag = f"{record['split']}/{key}/{name}" if isinstance(value, dict) else f"{record['split']}/{key}"
                    self._board.add_scalar(tag, number, record["step"])
        self._board.flush()

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self._board.close()


class Unlogged:
    """In place of `MetricsLog`, in all processes but the one that writes."""

    def write(self, record: dict[str, Any]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Nothing was opened."""
