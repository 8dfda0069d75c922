"""The drawn marketplace as a folder: a feed like a user's, and beside it what is true of it.

OUT/feed.csv            item_id, title, image, category, product_id, price, seller, colour
OUT/images/ab/ID.jpg
OUT/truth/labels.csv, OUT/truth/near_negatives.csv    see `labels`; not where `item prepare OUT` looks for feeds
OUT/market.json         the settings, the counts, the ceilings
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.drawing.ceilings import Ceiling, ceilings
from item_embed.catalog.drawing.facts import codes, photo_facts
from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.labels import LABEL_COLUMNS, NEAR_NEGATIVE_COLUMNS, label_row, near_negatives
from item_embed.catalog.drawing.listings import COLUMNS, make_listings
from item_embed.catalog.drawing.products import FAMILY, make_product
from item_embed.catalog.drawing.showing import Showing
from item_embed.errors import ConfigError
from item_embed.files import whole_folder
from item_embed.parallel import ordered_map
from item_embed.progress import OnProgress, silent

_PART = FAMILY * len(KINDS)  # products drawn at a time: whole families
_FEED, _LABELS, _NEAR = "feed.csv", "truth/labels.csv", "truth/near_negatives.csv"
_TABLES = {_FEED: COLUMNS, _LABELS: LABEL_COLUMNS, _NEAR: NEAR_NEGATIVE_COLUMNS}


@dataclass(frozen=True)
class DrawnMarketplace:
    """What a drawn marketplace holds, and the most that comparing its listings can find."""

    products: int
    listings: int
    photos: int
    kinds: int
    near_negatives: int
    ceilings: dict[str, Ceiling]  # by "photo", "title", "both"


def draw_marketplace(
    out: Path,
    products: int,
    seed: int = 0,
    image_size: int = 192,
    on_progress: OnProgress = silent,
    *,
    showing: Showing | None = None,
    workers: int = 1,
) -> DrawnMarketplace:
    """Draw a marketplace and write it as a feed with labels beside it.

    Args:
        out: folder to make, empty if it exists; written aside and renamed when complete.
        products: how many products; each has two to four listings.
        seed: another seed, another marketplace.
        image_size: longer side of the photos, pixels.
        on_progress: told the products done.
        showing: where attributes show, and how much titles tell; by default the preset `mixed`.
        workers: processes that draw; the files are the same, byte for byte, whatever their number.

    Raises:
        OutputError: when the folder holds something already, or cannot be written.
        ConfigError: when a number is out of range.

    Examples:
        >>> draw_marketplace(Path("market"), products=100).listings  # doctest: +SKIP
        297
    """
    if products < 1:
        raise ConfigError(f"a marketplace needs at least 1 product, not {products}; give --products a larger number.")
    if not 32 <= image_size <= 2048:
        raise ConfigError(f"photos of {image_size} pixels cannot be drawn; give --image-size from 32 to 2048.")
    if workers < 1:
        raise ConfigError(f"{workers} processes cannot draw; give --workers 1 or more.")
    showing = showing or Showing()
    # Drawn again as easily as lost: its thousands of files need not be on the disk before the folder appears.
    with whole_folder(out, sync=False) as folder:
        numbers = (range(first, min(first + _PART, products)) for first in range(0, products, _PART))
        tasks = (_Task(folder, part, seed, image_size, showing) for part in numbers)
        useful = min(workers, -(-products // _PART))
        truth = _write(folder, ordered_map(_draw_part, tasks, useful), products, on_progress)
        drawn = _counted(truth)
        settings = {"seed": seed, "image_size": image_size, "showing": asdict(showing)}
        text = json.dumps({**settings, **asdict(drawn)}, indent=2) + "\n"
        (folder / "market.json").write_text(text, encoding="utf8")
    return drawn


@dataclass(frozen=True)
class _Task:
    folder: Path
    numbers: range
    seed: int
    image_size: int
    showing: Showing


@dataclass(frozen=True)
class _Part:
    """Some products, drawn: rows as CSV by the file's name, and the truth of them for the ceilings."""

    rows: dict[str, str]
    facts: NDArray[np.int64]  # (products, facts)
    listings: NDArray[np.int64]  # of each product
    titles: NDArray[np.int64]  # facts that each listing's title tells, (listings,)
    photos: NDArray[np.int64]  # … and its photo
    near_negatives: int


def _draw_part(task: _Task) -> _Part:
    """Draw some products, write their photos, and give the rest back."""
    rows: dict[str, list[Sequence[str]]] = {name: [] for name in _TABLES}
    facts: list[tuple[int, ...]] = []
    listings: list[int] = []
    titles: list[int] = []
    photos: list[int] = []
    by_photo = photo_facts(task.showing)
    for number in task.numbers:
        product = make_product(task.seed, number, task.showing)
        facts.append(codes(product))
        before = len(titles)
        for listing in make_listings(product, task.seed, task.image_size, task.showing):
            row = listing.row
            rows[_FEED].append([row[name] for name in COLUMNS])
            rows[_LABELS].append(label_row(row["item_id"], product, listing.title.mentioned))
            titles.append(listing.title.facts)
            photos.append(0 if listing.photo is None else by_photo)
            if listing.photo is not None:
                _store(task.folder / row["image"], listing.photo)
        listings.append(len(titles) - before)
        rows[_NEAR] += near_negatives(product, task.seed, task.showing)
    for name in (_FEED, _LABELS):  # no feed has a product's listings side by side; ids are hashes
        rows[name].sort(key=itemgetter(0))
    return _Part(
        {name: _as_csv(table) for name, table in rows.items()},
        np.asarray(facts, np.int64),
        np.asarray(listings, np.int64),
        np.asarray(titles, np.int64),
        np.asarray(photos, np.int64),
        near_negatives=len(rows[_NEAR]),
    )


def _store(path: Path, photo: bytes) -> None:
    try:
        path.write_bytes(photo)
    except FileNotFoundError:  # the first one of its folder
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo)


def _as_csv(rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _write(folder: Path, parts: Iterator[_Part], products: int, on_progress: OnProgress) -> list[_Part]:
    """Write the tables in the order of the products; returns the parts without their rows."""
    (folder / "images").mkdir()
    (folder / "truth").mkdir()
    for name, columns in _TABLES.items():
        (folder / name).write_text(_as_csv([columns]), encoding="utf8", newline="")
    truth, done = [], 0
    for part in parts:
        for name, text in part.rows.items():
            with (folder / name).open("a", encoding="utf8", newline="") as file:
                file.write(text)
        part.rows.clear()
        truth.append(part)
        done += len(part.facts)
        on_progress(done, products)
    return truth


def _counted(parts: Sequence[_Part]) -> DrawnMarketplace:
    facts, listings, titles, photos = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("facts", "listings", "titles", "photos")
    )
    owners = np.repeat(np.arange(len(facts)), listings)
    return DrawnMarketplace(
        products=len(facts),
        listings=len(owners),
        photos=int((photos > 0).sum()),
        kinds=len(np.unique(facts[:, 0])),
        near_negatives=sum(part.near_negatives for part in parts),
        ceilings=ceilings(facts, owners, titles, photos),
    )
