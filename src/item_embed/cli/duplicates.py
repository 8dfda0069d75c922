"""`item duplicates`: the listings of one product, as clusters at a chosen precision."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.wording import number_of


class Linkage(StrEnum):
    """How clusters are joined."""

    COMPLETE = "complete"
    AVERAGE = "average"


def command(
    index: Annotated[str, typer.Argument(help="Index made by `item index`: a folder, or a postgresql:// URL.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; one that an earlier run wrote is brought up to date.")],
    labels: Annotated[
        str | None, typer.Option(help="Choose the threshold by this column: product_id, or one of the feed.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Choose it by judged pairs, CSV or Parquet: id, other_id, same (yes or no).")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Write a page of so many pairs to judge, OUT/pairs.html, and stop there.")
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="Choose it by the answers that this page saved.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Set it: the lowest cosine of a pair that is joined.")] = None,
    precision: Annotated[float, typer.Option(help="Share of joined pairs that must be the same product.")] = 0.95,
    linkage: Annotated[
        Linkage, typer.Option(help="A cluster's pairs all lie above the threshold, or do on average.")
    ] = Linkage.COMPLETE,
    variants: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="COLUMN same|different",
            help="Whether listings that differ in this column of the feed, as colour, can be one product.",
        ),
    ] = None,
    update: Annotated[
        Path | None, typer.Option(help="Folder of an earlier run to begin with.", show_default="--out")
    ] = None,
    neighbours: Annotated[int, typer.Option(help="Neighbours of each listing that are looked at.")] = 20,
    floor: Annotated[float, typer.Option(help="Lowest cosine of a pair that is looked at.")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws another sample.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as one JSON object.")] = False,
) -> None:
    """Find the listings of one product.

    They become clusters, with a suggested master of each and a page to look at.
    """
    from item_embed.search.duplicates.settings import Settings

    settings = Settings(
        threshold=threshold,
        pairs=pairs,
        answers=answers,
        labels=labels,
        sample=sample,
        precision=precision,
        linkage=linkage.value,
        variants=None if variants is None else _variants(*variants),
        neighbours=neighbours,
        floor=floor,
        seed=seed,
    )

    from item_embed.evaluation.duplicates.page import judge_and_report
    from item_embed.search.duplicates.run import find_duplicates
    from item_embed.search.index import ProductIndex

    totals = find_duplicates(
        ProductIndex.open(index), out, settings, update=update, further=judge_and_report, stages=progress
    )
    if as_json:
        print_json({"out": str(out), **totals})
    elif sample is not None:
        few = "" if totals["sampled"] >= sample else f" (no more lie above --floor {floor:g}; a lower one has more)"
        drawn = number_of(totals["sampled"], "pair")
        print(f"{drawn} to judge in {out / 'pairs.html'}{few}; then give --answers FILE.")
    else:
        _tell(out, totals)


def _variants(column: str, are: str) -> Any:
    from item_embed.errors import ConfigError
    from item_embed.search.duplicates.settings import Variants

    if are not in {"same", "different"}:
        raise ConfigError(f"--variants {column} {are}: variants are same or different; write one of them.")
    return Variants(column, are == "same")


def _tell(out: Path, totals: dict[str, Any]) -> None:
    chosen, recall = totals.get("chosen"), totals["recall_of_pairs"]
    rows = [
        ["distinct vectors searched anew", f"{totals['searched']:,} of {totals['distinct_vectors']:,}"],
        ["threshold", f"{totals['threshold']:.4f}"],
    ]
    if chosen is not None and chosen["precision"] is not None:
        found = chosen["precision"]
        rows.append(["precision of pairs", f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"])
    if chosen is not None and chosen["calibration_error"] is not None:
        rows.append(["calibration error", f"{chosen['calibration_error']:.3f}"])
    for name, shown in (("at_threshold", "the threshold"), ("at_floor", f"{totals['floor']:g}")):
        rows.append([f"neighbours found, down to {shown}", f"{recall[name]['found']:,} of {recall[name]['of']:,}"])
    quality = totals.get("quality", {})
    for name in ("pair_precision", "pair_recall", "pair_f1", "b_cubed_precision", "b_cubed_recall", "b_cubed_f1"):
        if name in quality:
            value, low, high = (quality[name][part] for part in ("value", "low", "high"))
            shown = f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
            rows.append([f"{name.replace('_', ' ')}, by {quality['labels']}", shown])
    table("Duplicates", ["figure", "value"], rows)
    if chosen is not None and chosen["all_sure"]:
        say(
            f"note: all judged pairs above --floor {totals['floor']:g} have the wanted precision together, down to a "
            f"cosine of {totals['threshold']:.4f}; with a lower one, and pairs judged there, more may be found."
        )
    several = number_of(totals["clusters_of_several"], "cluster")
    print(
        f"{number_of(totals['duplicates'], 'duplicate')} among {number_of(totals['listings'], 'listing')}: "
        f"{several} of several, the largest of {totals['largest']:,}; page in {out / 'report.html'}."
    )
