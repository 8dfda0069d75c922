"""The runs of an ablation, one after the other or side by side; what is there is not made again.

    OUT/grid.yaml, setup.json   the grid as it was run last; the catalogue and the queries of all runs
    OUT/relistings.parquet      the queries, where they are made
    OUT/runs/NAME/              a run as `item pretrain` leaves it; then done.json, measured.parquet, or failed.json

A finished run keeps its model and its log. Its checkpoints, which nothing can go on from, are removed.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError
from item_embed.evaluation.ablation.plan import Run
from item_embed.evaluation.asked import RELISTINGS, Asked
from item_embed.evaluation.attempts import State, attempt, side_by_side
from item_embed.evaluation.begun import begin, is_begun, read_begun
from item_embed.evaluation.learners.learner import as_begun, deciding
from item_embed.evaluation.learners.resuming import pretrain_or_resume
from item_embed.evaluation.learners.trained import find_device, is_done
from item_embed.evaluation.measured import read_measured, write_measured
from item_embed.evaluation.measuring import Questions, measure, open_questions
from item_embed.files import whole_file
from item_embed.progress import Stages, silent_stages
from item_embed.remote.places import Remote
from item_embed.training.checkpoints import latest_checkpoint

_GRID, _CONFIG = "grid.yaml", "config.yaml"
#: What a run came to: its figures, or the reason why it failed.
MEASURED, FAILED = "measured.parquet", "failed.json"


@dataclass(frozen=True)
class About:
    """What all figures of an ablation are of.

    Attributes:
        catalog: path of the catalogue.
        protocol: of the queries; see `queries.QuerySet`.
        queries: how many.
        listings: to find.
        leaf_rows: labelled rows that leaf category is judged on; 0 where it is not measured.
        remarks: what a reader of the figures should know.
    """

    catalog: str
    protocol: str
    queries: int
    listings: int
    leaf_rows: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """An ablation's folder, and what all its runs are trained on and asked.

    Attributes:
        out: the folder.
        path: of the catalogue.
        asked: the same-product queries; the groups of those of a file are left out of training.
        leaf_category: whether leaf category is measured where the catalogue has labels.
        batch_size: products embedded at once.
        device: a torch device; None: the best there is.

    Examples:
        >>> ablation = Ablation(Path("ablation"), Path("catalog"), Asked())        # doctest: +SKIP
        >>> ablation.begin(Path("grid.yaml"))                                      # doctest: +SKIP
        >>> list(make_runs(ablation, make_plan(read_grid(Path("grid.yaml"))).runs))  # doctest: +SKIP
    """

    out: Path
    path: Path | Remote
    asked: Asked
    leaf_category: bool = True
    batch_size: int = 256
    device: str | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue."""
        return Catalog(self.path)

    @cached_property
    def questions(self) -> Questions:
        """What every run is asked."""
        return open_questions(self.catalog, self.asked.kept_in(self.out), leaf_category=self.leaf_category)

    @property
    def about(self) -> About:
        """What its figures are of."""
        queries, leaves = self.questions.queries, self.questions.leaves
        return About(
            catalog=str(self.path),
            protocol=queries.protocol,
            queries=len(queries),
            listings=len(self.catalog),
            leaf_rows=0 if leaves is None else len(leaves.test),
            remarks=self.questions.remarks,
        )

    def folder(self, run: Run) -> Path:
        """Of a run; its name may have changed with the grid, its configuration not.

        Raises:
            ConfigError: when it was made by an earlier version, some of whose defaults were other ones.
        """
        runs = self.out / "runs"
        found = sorted(runs.glob(f"*-{run.name.rpartition('-')[2]}"))
        folder = found[0] if found else runs / run.name
        made = folder / _CONFIG
        if made.is_file() and deciding(RunConfig.load(made)) != deciding(run.config):
            raise ConfigError(
                f"{folder} was made when other settings were the default, and cannot stand for {run.label!r}; remove "
                "it, or choose another --out."
            )
        return folder

    def check(self) -> bool:
        """Whether the folder was begun; one that holds something else, or was begun with other rows, is refused.

        Raises:
            ConfigError: saying whether the catalogue or the queries are other ones, and the mend.
        """
        return is_begun(self.out, "ablation", self._identity(), {RELISTINGS})

    def begin(self, grid: Path) -> None:
        """Write down what this ablation is of; what has been made before stays.

        Raises:
            ConfigError: as `check` does.
            CatalogError: when the catalogue holds no such queries.
        """
        asked = self.asked.kept_in(self.out)
        if not self.check() or not (self.out / RELISTINGS).is_file():
            asked.keep(self.catalog)
        begin(self.out, {**self._identity(), "about": asdict(self.about)})
        with whole_file(self.out / _GRID) as aside:
            aside.write_bytes(grid.read_bytes())

    def _identity(self) -> dict[str, Any]:
        return {"catalogue": self.catalog.fingerprint, "queries": self.asked.identity()}


def read_about(out: Path) -> About:
    """What the figures of an ablation are of, by its folder alone.

    Raises:
        ConfigError: when the folder holds no ablation.
    """
    about = read_begun(out, "ablation", ["about"])["about"]
    return About(**about | {"remarks": tuple(about["remarks"])})


def make_runs(
    ablation: Ablation, runs: Sequence[Run], *, jobs: int = 1, stage: Stages = silent_stages
) -> Iterator[tuple[Run, str | None]]:
    """Train and measure the runs that are not measured yet.

    A run that fails (training diverges, memory runs out) gives its reason, and is tried again another time; the others
    go on.

    Args:
        ablation: what all are trained on and asked; begun.
        runs: of a plan.
        jobs: runs side by side, each in a process with one thread; 1: in this one with all cores.
        stage: told of the progress of each stage.

    Yields:
        Each run that was made, with the reason if it failed.
    """
    missing = [run for run in runs if state(ablation, run)[0] is not State.MEASURED]
    if jobs == 1:
        for number, run in enumerate(missing, 1):
            named = f"run {number} of {len(missing)}, {run.label}, seed {run.seed}"
            yield run, _make(ablation, run, _named(stage, named))
        return
    fresh = replace(ablation)  # without what was read: processes read for themselves
    yield from side_by_side(partial(_make, fresh), missing, jobs, "training and measuring runs", stage)


def state(ablation: Ablation, run: Run) -> tuple[State, int]:
    """How far a run is, and the step that its training would go on from."""
    folder = ablation.folder(run)
    if is_done(folder):
        measured = (folder / MEASURED).is_file() and (
            ablation.questions.leaves is None or "accuracy" in read_measured(folder / MEASURED)
        )
        return State.MEASURED if measured else State.TRAINED, run.config.training.steps
    kept = latest_checkpoint(folder / "checkpoints")
    steps = 0 if kept is None else int(kept.name.rpartition("-")[2])
    if (folder / FAILED).is_file():
        return State.FAILED, steps
    return State.BEGUN if (folder / _CONFIG).is_file() else State.MISSING, steps


def _named(stage: Stages, name: str) -> Stages:
    """Stages that say what they are of."""
    return lambda label: stage(f"{name}: {label}")


def _make(ablation: Ablation, run: Run, stage: Stages = silent_stages) -> str | None:
    """Train and measure a run; the reason where that fails."""
    folder = ablation.folder(run)
    (folder / FAILED).unlink(missing_ok=True)
    reason = attempt(lambda: _train_and_measure(ablation, run, folder, stage))
    if reason is not None:
        with whole_file(folder / FAILED) as aside:
            aside.write_text(json.dumps({"reason": reason}, ensure_ascii=False) + "\n", encoding="utf8")
    return reason


def _train_and_measure(ablation: Ablation, run: Run, folder: Path, stage: Stages) -> None:
    device = find_device(ablation.device)
    if not is_done(folder):
        config, exclude = as_begun(run.config, folder), ablation.asked.file
        with stage("training") as on_progress:
            pretrain_or_resume(
                ablation.catalog, folder, config, exclude_groups=exclude, device=device, on_progress=on_progress
            )
    embedder = Embedder.from_pretrained(folder / "model", str(device), run.config.training.precision)
    measured = measure(embedder, ablation.questions, batch_size=ablation.batch_size, stage=stage)
    write_measured(folder / MEASURED, measured)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
