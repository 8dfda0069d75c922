"""`--task reconstruction`: what [CLS] and the positions say of masked words and patches."""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import print_json, progress
from item_embed.cli.evaluating.request import Request, Split, show

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog


def reconstruction(request: Request, catalog: "Catalog") -> None:
    """Predict masked words and patches of held-out rows."""
    ignored = (
        "queries",
        "vectors",
        "by",
        "baselines",
        "modalities",
        "batch_size",
        "device",
        "fine_tune",
        "sample",
        "variants",
    )
    request.refuse("--task reconstruction", *ignored)

    from item_embed.evaluation.reconstruction import evaluate_reconstruction
    from item_embed.evaluation.report import reconstruction_table, write_report

    split = (request.split or Split.TEST).value
    with progress("reconstructing") as on_progress:
        result = evaluate_reconstruction(Path(request.model), catalog, split, request.seed, on_progress)
    shown = reconstruction_table(result)
    if request.as_json:
        print_json(result.as_json())
    else:
        show([shown])
        print(f"{result.rows:,} rows of the {split} split.{request.page}", flush=True)
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", [shown])
