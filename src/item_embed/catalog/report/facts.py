"""What a report says about a catalogue, as plain values: no table of rows, only counts and a few examples."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from item_embed.catalog.schema import Manifest


@dataclass(frozen=True)
class Named:
    """Something that rows have, and how many have it."""

    name: str
    rows: int


@dataclass(frozen=True)
class Spread:
    """How a number is spread over rows.

    Attributes:
        count: rows that have it.
        low: 5 % lie below; 0 where no row has it, as for the next two.
        median: half lie below.
        high: 5 % lie above.
        bars: label and rows of each bar of its histogram.
    """

    count: int
    low: float
    median: float
    high: float
    bars: tuple[Named, ...]

    def as_json(self) -> dict[str, float]:
        """The numbers without the histogram."""
        return {"count": self.count, "p5": self.low, "median": self.median, "p95": self.high}


@dataclass(frozen=True)
class Example:
    """A row to look at.

    Attributes:
        name: its id, or its number and file.
        title: its title, None where it has none; of a row set aside, None.
        photo: a small picture of it, None where it has none, empty where it cannot be shown.
        content: of a row set aside: what the feed says, as JSON.
    """

    name: str
    title: str | None = None
    photo: bytes | None = None
    content: str | None = None


@dataclass(frozen=True)
class Reason:
    """A repair, or a reason to set rows aside."""

    name: str
    rows: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Rows with an identical photo, or with an equal title.

    Attributes:
        rows: how many.
        titles: distinct titles among them.
        photo: a small picture of the first.
        some: some of the titles.
    """

    rows: int
    titles: int
    photo: bytes | None
    some: tuple[str, ...]


@dataclass(frozen=True)
class Equal:
    """Rows whose photo, or title, is that of another row.

    Attributes:
        rows: how many rows share theirs.
        shared: how many different photos or titles they share.
        largest: the clusters with most rows.
    """

    rows: int
    shared: int
    largest: tuple[Cluster, ...]


@dataclass(frozen=True)
class Placeholders:
    """Photos under so many distinct titles that they show no product; `rows` counts the rows under them."""

    photos: int
    rows: int
    largest: tuple[Cluster, ...]


@dataclass(frozen=True)
class Titles:
    """The titles of a catalogue.

    Attributes:
        count: rows that have one.
        words: their lengths in words.
        characters: their lengths in characters.
        scripts: the script of most of a title's letters.
        languages: an estimate from `sample` titles; None without the package `py3langid`.
        sample: titles that the estimate is made from.
        equal: rows whose title another row has too.
        ambiguous: of these, rows whose title is not that of one product alone.
    """

    count: int
    words: Spread
    characters: Spread
    scripts: tuple[Named, ...]
    languages: tuple[Named, ...] | None
    sample: int
    equal: Equal
    ambiguous: int


@dataclass(frozen=True)
class Photos:
    """The photos of a catalogue; `empty` is the share of empty patches, in percent, of `empty.count` photos."""

    count: int
    short_side: Spread
    empty: Spread
    equal: Equal
    placeholders: Placeholders


@dataclass(frozen=True)
class Labels:
    """Values of a column by which rows belong together.

    Attributes:
        rows: how many rows have one.
        distinct: how many values there are; None where there are too many to count.
        largest: the values with most rows, most first.
    """

    rows: int
    distinct: int | None
    largest: tuple[Named, ...]

    @property
    def top(self) -> int:
        """The rows of the most frequent value."""
        return self.largest[0].rows if self.largest else 0


@dataclass(frozen=True)
class Concern:
    """Something that matters for training.

    Attributes:
        kind: a short name for programs.
        sentence: what was found.
        meaning: what it does to training or evaluation.
        mend: what to do about it.
        photos: small pictures that show it.
    """

    kind: str
    sentence: str
    meaning: str
    mend: str
    photos: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that a report says.

    Attributes:
        catalog: how the user calls the catalogue's folder.
        manifest: counts, splits, columns, command.
        rows: rows in the catalogue.
        pairs: of them, with both title and photo.
        titles: about their titles.
        photos: about their photos.
        categories: about the category column.
        products: about the product column.
        groups: about the groups that the splits keep together.
        repairs: what was mended, most frequent first.
        rejections: why rows were set aside, most frequent first.
        failed_downloads: rows whose photo could not be fetched.
        concerns: what matters for training, worst first.
    """

    catalog: str
    manifest: Manifest
    rows: int
    pairs: int
    titles: Titles
    photos: Photos
    categories: Labels
    products: Labels
    groups: Labels
    repairs: tuple[Reason, ...]
    rejections: tuple[Reason, ...]
    failed_downloads: int
    concerns: tuple[Concern, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What matters for training, as sentences with their mend."""
        return [f"{concern.sentence} {concern.mend}" for concern in self.concerns]

    def as_json(self) -> dict[str, Any]:
        """The main numbers and the warnings, as plain values."""
        titles, photos = self.titles, self.photos
        return {
            "rows": self.rows,
            "pairs": self.pairs,
            "warnings": [
                {key: value for key, value in dataclasses.asdict(concern).items() if key != "photos"}
                for concern in self.concerns
            ],
            "failed_downloads": self.failed_downloads,
            "titles": {
                "count": titles.count,
                "words": titles.words.as_json(),
                "characters": titles.characters.as_json(),
                "equal_rows": titles.equal.rows,
                "ambiguous_rows": titles.ambiguous,
                "scripts": _by_name(titles.scripts),
                "languages": None if titles.languages is None else _by_name(titles.languages),
                "language_sample": titles.sample,
            },
            "photos": {
                "count": photos.count,
                "short_side": photos.short_side.as_json(),
                "empty_percent": photos.empty.as_json(),
                "identical_rows": photos.equal.rows,
                "placeholders": photos.placeholders.photos,
                "placeholder_rows": photos.placeholders.rows,
            },
            "categories": _labels(self.categories),
            "products": _labels(self.products),
            "groups": _labels(self.groups),
        }


def _by_name(named: tuple[Named, ...]) -> dict[str, int]:
    return {one.name: one.rows for one in named}


def _labels(labels: Labels) -> dict[str, int | None]:
    return {"rows": labels.rows, "distinct": labels.distinct, "largest": labels.top}
