"""A sample of pairs for review: drawn by strata of cosine, and written as a page that asks about one after the other.

Each stratum gives as many pairs as any other, so that the few pairs near a good threshold are looked at as often as
the many below it. What a stratum holds is written beside each answer; `judged.read_judged` makes weights of it.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from item_embed.files import whole_file
from item_embed.hashing import hash64
from item_embed.progress import OnProgress, silent
from item_embed.search.duplicates.judged import RowPairs
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from item_embed.search.page import PAGE_STYLE
from item_embed.search.thumbnails import data_uri, thumbnail

STRATA = 10
_DRAW, _ORDER = 0x5A3, 0x5A4  # streams of the draw
_MOST_FACTS = 8  # columns of the feed shown of a listing
_LONGEST = 80  # letters of a value
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Sample:
    """Pairs to be looked at, in an order of chance: any beginning of it is a sample too.

    Attributes:
        pairs: n of them.
        stratum: (n,) the stratum of each.
        stratum_pairs: (n,) how many pairs that has in all.
    """

    pairs: RowPairs
    stratum: NDArray[np.int64]
    stratum_pairs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pairs)


def draw_sample(pairs: RowPairs, count: int, floor: float, seed: int = 0) -> Sample:
    """Draw pairs, equally many from each of ten strata between the floor and 1, as far as those have them.

    Args:
        pairs: all near pairs.
        count: how many to draw; fewer where there are not so many.
        floor: the lowest cosine of a pair.
        seed: another seed draws another sample.

    Examples:
        >>> cosine = np.array([0.81, 0.82, 0.99], np.float32)
        >>> pairs = RowPairs(np.array([0, 1, 2]), np.array([3, 4, 5]), cosine)
        >>> sorted(draw_sample(pairs, 2, 0.8).stratum_pairs.tolist())  # one of two, and the only one
        [1, 2]
    """
    edges = np.linspace(floor, 1, STRATA + 1)[1:-1]
    stratum = np.searchsorted(edges, pairs.cosine, side="right")
    sizes = np.bincount(stratum, minlength=STRATA)
    # Each pair's place in its stratum, by chance: the strata give their first, then their second, ...
    draw = hash64(seed, _DRAW, pairs.first, pairs.second)
    order = np.lexsort((draw, stratum))
    place = np.empty(len(pairs), np.int64)
    place[order] = np.arange(len(pairs)) - np.repeat(sizes.cumsum() - sizes, sizes)
    chosen = np.lexsort((-stratum, place))[:count]
    chosen = chosen[np.argsort(hash64(seed, _ORDER, pairs.first[chosen], pairs.second[chosen]), kind="stable")]
    return Sample(pairs.subset(chosen), stratum[chosen], sizes[stratum[chosen]])


def write_sample(
    path: Path, sample: Sample, ids: list[str], index: ProductIndex, on_progress: OnProgress = silent
) -> None:
    """Write the page: one file that needs no other, keeps its progress in the browser and saves the answers as CSV.

    It is a tool, not a report, so it has a script, where other pages have none; the page itself forbids any other.

    Args:
        path: the file to write.
        sample: what is asked.
        ids: the ids of the index's listings.
        index: where their photos and titles are.
        on_progress: told of the pairs written.

    Raises:
        OutputError: when the file cannot be written.
    """
    shown = []
    listed: list[list[str]] = []
    for number in range(len(sample)):
        ends = [ids[rows[number]] for rows in (sample.pairs.first, sample.pairs.second)]
        listed.append(ends)
        sides = [_side(index.item(key) or Item(key)) for key in ends]
        shown.append(
            {"sides": sides, "stratum": int(sample.stratum[number]), "pairs": int(sample.stratum_pairs[number])}
        )
        on_progress(number + 1, len(sample))
    key = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
    script = (_TEMPLATES / "pairs.js").read_text(encoding="utf8")
    text = _ENVIRONMENT.get_template("pairs.html").render(
        pairs=shown,
        key=key,
        style=Markup(PAGE_STYLE + (_TEMPLATES / "pairs.css").read_text(encoding="utf8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf8")


def _side(item: Item) -> dict[str, Any]:
    """What the page shows of a listing."""
    photo = thumbnail(item.photo)
    facts: list[tuple[str, Any]] = [("category", item.category), *item.metadata.items()]
    texts = [(name, str(value).strip()) for name, value in facts if value is not None and str(value).strip()]
    return {
        "id": item.id,
        "title": item.title or "",
        "photo": data_uri(photo) if photo else "",
        "facts": [
            [name, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"] for name, text in texts[:_MOST_FACTS]
        ],
    }


_ENVIRONMENT = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
