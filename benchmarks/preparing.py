"""How fast `item draw` and `item prepare` are, how busy they keep the cores, and what memory they take for each row.

    python benchmarks/preparing.py --out runs/preparing                      # 10,000, 100,000 and 1,000,000 rows
    python benchmarks/preparing.py --out runs/preparing --rows 10000 100000

It draws a marketplace with tiny photos (what a row costs beside its photo), prepares it by processes of its own, and
samples what they and their children take: proportional set size, so that shared pages count once. The last table has
the update of the largest catalogue with 1 % of the titles changed. The catalogues stay in the folder.
"""

import argparse
import csv
import random
import shutil
from pathlib import Path

from watching import run_item

_LISTINGS = 3  # of a product, on average


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for feeds and catalogues")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="about so many rows")
    parser.add_argument("--image-size", type=int, default=40, help="of the photos, pixels")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| rows | draw rows/s | prepare rows/s | seconds | cores busy | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    taken: list[tuple[int, int]] = []
    for rows in arguments.rows:
        market, catalog = arguments.out / f"market-{rows}", arguments.out / f"catalog-{rows}"
        size = ["--image-size", str(arguments.image_size), "--products", str(rows // _LISTINGS)]
        drawn = None if market.exists() else run_item(["draw", "--out", str(market), *size])
        shutil.rmtree(catalog, ignore_errors=True)
        cost = run_item(["prepare", str(market / "feed.csv"), "--out", str(catalog)])
        written = _rows(market / "feed.csv")
        taken.append((written, cost.memory))
        drawing = f"{written / drawn.seconds:,.0f}" if drawn else "drawn before"
        speed, busy = written / cost.seconds, cost.cpu / cost.seconds
        columns = [f"{written:,}", drawing, f"{speed:,.0f}", f"{cost.seconds:.0f}", f"{busy:.2f}"]
        print("|", " | ".join([*columns, f"{cost.memory / 1e6:,.0f}"]), "|", flush=True)
    if len(taken) > 1:
        (least, low), (most, high) = taken[0], taken[-1]
        print(f"\nbytes of memory for each further row: {(high - low) / (most - least):.0f}")
    changed = run_item(["prepare", str(_changed(market)), "--out", str(catalog), "--update"])
    print(f"\nupdate of {written:,} rows, 1 % of them changed: {changed.seconds:.0f} s ({cost.seconds:.0f} s anew)")


def _rows(feed: Path) -> int:
    with feed.open(encoding="utf8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _changed(market: Path) -> Path:
    """The feed of the next night beside the photos: every hundredth title has another word."""
    feed = market / "tonight.csv"
    draw = random.Random(0)
    with (
        (market / "feed.csv").open(encoding="utf8", newline="") as old,
        feed.open("w", encoding="utf8", newline="") as new,
    ):
        rows = csv.DictReader(old)
        writer = csv.DictWriter(new, rows.fieldnames or ())
        writer.writeheader()
        for row in rows:
            if draw.random() < 0.01:
                row["title"] += " reduced"
            writer.writerow(row)
    return feed


if __name__ == "__main__":
    main()
