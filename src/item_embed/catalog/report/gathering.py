"""From a catalogue's files to the facts of its report."""

import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.grouping import MOST_TITLES_OF_A_PHOTO
from item_embed.catalog.photos.images import PhotoError, decode
from item_embed.catalog.report.background import PATCHES, empty_patches
from item_embed.catalog.report.concerns import find_concerns
from item_embed.catalog.report.counting import COLUMNS, LONGEST_SIDE, NameCounts, RowCounts, named, spread
from item_embed.catalog.report.duplicates import NONE, EqualRows, equal_rows, largest_count
from item_embed.catalog.report.facts import (
    Cluster,
    Equal,
    Example,
    Facts,
    Labels,
    Named,
    Photos,
    Placeholders,
    Reason,
    Spread,
    Titles,
)
from item_embed.catalog.report.languages import languages
from item_embed.catalog.report.reading import Rows
from item_embed.catalog.schema import Manifest
from item_embed.progress import OnProgress, silent

SAMPLE = 2_000  # photos and titles that are looked at one by one: shares are right within two percent
SHOWN_REASONS = 12  # repairs, and reasons to set rows aside, that get examples
SHOWN_CLUSTERS = 8
SHOWN_TITLES = 3  # of a cluster
THUMBNAIL = 112  # pixels of the longest side
LONGEST_CONTENT = 400  # characters of a rejected row
_EXAMINED = 1_000  # the largest clusters of a photo that may be placeholders
_WORD_BARS = [*range(1, 31)]
_CHARACTER_BARS = [1, *range(10, 210, 10)]
_SIDE_BARS = [1, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096]
_EMPTY_BARS = [round(PATCHES * step / 20) for step in range(20)]
_DOWNLOAD = re.compile(r"^photo: download: |\(download: ")


def gather(folder: Path, on_progress: OnProgress = silent, name: str = "CATALOG") -> Facts:
    """Read what a report says from a catalogue's files: one pass over the small columns, photos for a sample.

    Takes about 50 bytes of memory a row above a constant.

    Args:
        folder: a catalogue's folder, complete, whatever its name is now.
        on_progress: told the rows read.
        name: how the user calls the catalogue, for the commands that the report names.

    Examples:
        >>> gather(Path("catalog")).warnings  # doctest: +SKIP
        ['One photo is under 310 different titles: 312 rows (1.2 %). Empty the photo of these rows …']
    """
    manifest = Manifest.read(folder)
    rows = Rows([folder / file for file in sorted(manifest.files) if file.startswith("rows/")])
    total = manifest.counts.kept + manifest.counts.repaired
    counts = RowCounts()
    for batch in rows.stream(COLUMNS):
        counts.add(batch)
        on_progress(counts.rows, total)
    groups = _key_labels(counts.take_keys("group"))
    product_keys = counts.take_keys("product")
    products = _products(product_keys, rows)
    title_keys = counts.take_keys("title")
    titles = _titles(counts, title_keys, product_keys, rows)
    del product_keys
    photos = _photos(counts, counts.take_keys("photo"), title_keys, rows)
    rejected, rejections = _rejections(folder / "rejected.parquet")
    facts = Facts(
        catalog=name,
        manifest=manifest,
        rows=counts.rows,
        pairs=counts.pairs,
        titles=titles,
        photos=photos,
        categories=counts.categories.labels(),
        products=products,
        groups=groups,
        repairs=_repairs(counts.repairs, rows),
        rejections=rejections,
        failed_downloads=_downloads(counts.repairs) + _downloads(rejected),
    )
    return dataclasses.replace(facts, concerns=find_concerns(facts))


def thumbnail(data: bytes | None) -> bytes | None:
    """A small JPEG of a photo; None where there is none, empty where it cannot be decoded."""
    if data is None:
        return None
    try:
        image = decode(data)
    except PhotoError:
        return b""
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80, comment=b"")
    return file.getvalue()


def _titles(counts: RowCounts, keys: NDArray[np.int64], products: NDArray[np.int64], rows: Rows) -> Titles:
    sampled = _spread_out(np.flatnonzero(keys != NONE))
    texts = [row["title"] for _, row in rows.take(sampled, ["title"])]
    found = languages(texts)
    equal = equal_rows(keys)
    return Titles(
        count=int(counts.words.sum()),
        words=spread(counts.words, _WORD_BARS),
        characters=spread(counts.characters, _CHARACTER_BARS),
        scripts=named(counts.scripts, SHOWN_CLUSTERS),
        languages=None if found is None else named(found, SHOWN_CLUSTERS),
        sample=len(texts),
        equal=Equal(len(equal.rows), len(equal), _clusters(list(equal.largest(SHOWN_CLUSTERS)), keys, rows)),
        ambiguous=equal.rows_apart(products),
    )


def _photos(counts: RowCounts, keys: NDArray[np.int64], titles: NDArray[np.int64], rows: Rows) -> Photos:
    empty = _empty(_spread_out(np.flatnonzero(keys != NONE)), rows)
    equal = equal_rows(keys)
    return Photos(
        count=int((keys != NONE).sum()),
        short_side=spread(counts.short_sides, [edge for edge in _SIDE_BARS if edge <= LONGEST_SIDE]),
        empty=empty,
        equal=Equal(len(equal.rows), len(equal), _clusters(list(equal.largest(SHOWN_CLUSTERS)), titles, rows)),
        placeholders=_placeholders(equal, titles, rows),
    )


def _empty(sampled: NDArray[np.int64], rows: Rows) -> Spread:
    """The share of empty patches in a sample of photos, in percent."""
    found = np.zeros(PATCHES + 1, np.int64)
    for _, row in rows.take(sampled, ["image"]):
        try:
            found[empty_patches(decode(row["image"] or b""))] += 1
        except PhotoError:  # a damaged file is no reason to go without a report
            continue
    return spread(found, _EMPTY_BARS, unit=100 / PATCHES)


def _placeholders(equal: EqualRows, titles: NDArray[np.int64], rows: Rows) -> Placeholders:
    found = [
        cluster
        for cluster in equal.largest(_EXAMINED)
        if len(cluster) > MOST_TITLES_OF_A_PHOTO and _distinct(titles[cluster]) > MOST_TITLES_OF_A_PHOTO
    ]
    return Placeholders(len(found), sum(map(len, found)), _clusters(found[:SHOWN_TITLES], titles, rows))


def _clusters(clusters: Sequence[NDArray[np.int64]], titles: NDArray[np.int64], rows: Rows) -> tuple[Cluster, ...]:
    """Clusters with the photo of their first row and some of their different titles."""
    shown = [cluster[np.sort(np.unique(titles[cluster], return_index=True)[1])][:SHOWN_TITLES] for cluster in clusters]
    wanted = {int(row) for some in shown for row in some} | {int(cluster[0]) for cluster in clusters}
    read = dict(rows.take(wanted, ["title", "image"]))
    return tuple(
        Cluster(
            rows=len(cluster),
            titles=_distinct(titles[cluster]),
            photo=thumbnail(read[int(cluster[0])]["image"]),
            some=tuple(title for row in some if (title := read[int(row)]["title"])),
        )
        for cluster, some in zip(clusters, shown, strict=True)
    )


def _distinct(titles: NDArray[np.int64]) -> int:
    return len(np.unique(titles[titles != NONE]))


def _repairs(counts: NameCounts, rows: Rows) -> tuple[Reason, ...]:
    reasons = named(counts.counts, len(counts.counts))
    chosen = [counts.rows(reason.name) for reason in reasons[:SHOWN_REASONS]]
    read = dict(rows.take({row for some in chosen for row in some}, ["id", "title", "image"]))
    examples = [tuple(_example(read[row]) for row in some) for some in chosen]
    return _reasons(reasons, examples)


def _example(row: dict[str, str | bytes | None]) -> Example:
    title, image = row["title"], row["image"]
    return Example(
        name=str(row["id"]),
        title=title if isinstance(title, str) else None,
        photo=thumbnail(image if isinstance(image, bytes) else None),
    )


def _rejections(path: Path) -> tuple[NameCounts, tuple[Reason, ...]]:
    rejected, counts = Rows([path]), NameCounts(examples=3)
    start = 0
    for batch in rejected.stream(["reason"]):
        counts.add(batch.column(0), np.arange(start, start + len(batch)))
        start += len(batch)
    reasons = named(counts.counts, len(counts.counts))
    chosen = [counts.rows(reason.name) for reason in reasons[:SHOWN_REASONS]]
    read = dict(rejected.take({row for some in chosen for row in some}, ["row", "source", "content"]))
    examples = [
        tuple(
            Example(f"row {read[row]['row']:,} of {read[row]['source']}", content=_cut(read[row]["content"]))
            for row in some
        )
        for some in chosen
    ]
    return counts, _reasons(reasons, examples)


def _reasons(reasons: Sequence[Named], examples: Sequence[tuple[Example, ...]]) -> tuple[Reason, ...]:
    padded = [*examples, *[()] * (len(reasons) - len(examples))]
    return tuple(Reason(one.name, one.rows, some) for one, some in zip(reasons, padded, strict=True))


def _downloads(counts: NameCounts) -> int:
    return sum(rows for name, rows in counts.counts.items() if _DOWNLOAD.search(name))


def _key_labels(keys: NDArray[np.int64]) -> Labels:
    distinct, _, top = largest_count(keys)
    return Labels(int((keys != NONE).sum()), distinct, (Named("", top),) if top else ())


def _products(keys: NDArray[np.int64], rows: Rows) -> Labels:
    distinct, key, top = largest_count(keys.copy())
    first = int(np.argmax(keys == key)) if top else NONE
    largest = tuple(Named(str(row["product_id"]), top) for _, row in rows.take([first], ["product_id"])) if top else ()
    return Labels(int((keys != NONE).sum()), distinct, largest)


def _spread_out(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `SAMPLE` of the rows, evenly apart."""
    return rows if len(rows) <= SAMPLE else rows[np.arange(SAMPLE) * len(rows) // SAMPLE]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CONTENT else f"{text[:LONGEST_CONTENT]}… ({len(text):,} characters)"
