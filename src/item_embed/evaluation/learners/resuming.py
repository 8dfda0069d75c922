"""`item pretrain` as a part of something larger: it goes on where it was killed, and its time is counted on."""

import json
from pathlib import Path

import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.evaluation.learners.fitting import Clock, Spent
from item_embed.evaluation.learners.trained import write_done
from item_embed.files import whole_file
from item_embed.progress import OnProgress, silent
from item_embed.training.run import pretrain

_SPENT = "spent.json"


def pretrain_or_resume(
    catalog: Catalog,
    folder: Path,
    config: RunConfig,
    *,
    exclude_groups: Path | None = None,
    device: torch.device | None = None,
    on_progress: OnProgress = silent,
) -> None:
    """Pre-train to the last step; then the folder is done, and says what that took, all attempts together.

    Args:
        catalog: to train on.
        folder: of the run, as `item pretrain` leaves it.
        config: of the run; one that was begun goes on only with the same.
        exclude_groups: a file of items whose groups are left out.
        device: where it trains; None: on a GPU where there is one.
        on_progress: told of steps.

    Raises:
        ConfigError: when the folder was begun with something else.
        ModelError: when training diverges.

    Examples:
        >>> pretrain_or_resume(Catalog("catalog"), Path("run"), RunConfig.load("tiny"))  # doctest: +SKIP
        >>> is_done(Path("run"))                                                        # doctest: +SKIP
        True
    """
    begun = (folder / "config.yaml").is_file()
    clock = Clock(_spent(folder) if begun else Spent())

    def tell(step: int, total: int | None) -> None:
        if step % config.training.checkpoint_every == 0:  # a killed run goes on from here
            _keep(folder, clock.spent())
        on_progress(step, total)

    summary = pretrain(
        catalog, folder, config, exclude_groups=exclude_groups, resume=begun, device=device, on_progress=tell
    )
    write_done(folder, summary.parameters, config.training, clock.spent())


def _keep(folder: Path, spent: Spent) -> None:
    with whole_file(folder / _SPENT) as aside:
        aside.write_text(json.dumps(vars(spent)), encoding="utf8")


def _spent(folder: Path) -> Spent:
    file = folder / _SPENT
    return Spent(**json.loads(file.read_text(encoding="utf8"))) if file.is_file() else Spent()
