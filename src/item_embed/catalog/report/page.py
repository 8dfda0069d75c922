"""The report of a catalogue as one HTML page: no scripts, nothing fetched from elsewhere, every text escaped."""

import base64
import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from item_embed.catalog.report.background import PATCH, SIDE
from item_embed.catalog.report.concerns import share
from item_embed.catalog.report.counting import MOST_NAMES
from item_embed.catalog.report.facts import Facts, Spread, Titles
from item_embed.catalog.report.languages import UNSPACED
from item_embed.files import whole_file

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_TEXT = 160  # characters of a title on the page; some hold a description
_LONGEST_NAME = 80  # of ids and categories
_SHOWN_SOURCES = 3


def write_report(facts: Facts, path: Path) -> None:
    """Write the report of a catalogue as one self-contained HTML page; a file of that name is replaced.

    Raises:
        OutputError: when the file cannot be written.

    Examples:
        >>> write_report(gather(Path("catalog")), Path("catalog/report.html"))  # doctest: +SKIP
    """
    with whole_file(path) as aside:
        aside.write_text(render(facts), encoding="utf8")


def render(facts: Facts) -> str:
    """The report as an HTML document."""
    return _ENVIRONMENT.get_template("report.html").render(
        facts=facts,
        manifest=facts.manifest,
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf8")),
        update=facts.manifest.update and facts.manifest.update.model_dump(exclude={"previous"}),
        commands=_next_commands(facts.catalog),
        sources=facts.manifest.sources[:_SHOWN_SOURCES],
        more_sources=max(0, len(facts.manifest.sources) - _SHOWN_SOURCES),
        patch=PATCH,
        side=SIDE,
    )


def _next_commands(catalog: str) -> list[tuple[str, str]]:
    """What is run next, and what it does."""
    name = shlex.quote(catalog)
    return [
        (f"item pretrain {name} --out run", "learns from titles and photos"),
        (f"item embed run/model {name} --out vectors.parquet", "a vector for every row"),
        (f"item index vectors.parquet {name} --out index", "an index, then item search index --title …"),
        (f"item evaluate run/model {name}", "how well the same product is found"),
    ]


def _bars(spread: Spread) -> list[dict[str, object]]:
    """The bars of a histogram, their heights in percent of the highest."""
    highest = max((bar.rows for bar in spread.bars), default=0) or 1
    return [
        {
            "label": bar.name,
            "rows": bar.rows,
            "height": round(100 * bar.rows / highest, 2),
            "share": share(bar.rows, spread.count),
        }
        for bar in spread.bars
    ]


def _ticks(bars: int) -> list[int]:
    """Which bars of a histogram are labelled: at most five, evenly apart."""
    return list(range(0, bars, max(1, -(-bars // 5))))


def _rounded(value: float) -> str:
    return f"{value:,.0f}"


def _has_unspaced(titles: Titles) -> bool:
    return any(one.name in UNSPACED for one in titles.scripts)


def _cut(text: str | None, longest: int = _LONGEST_TEXT) -> str:
    return text or "" if len(text or "") <= longest else f"{str(text)[:longest].rstrip()}…"


def _data_uri(photo: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "data_uri": _data_uri,
    "cut": _cut,
    "bars": _bars,
    "number": "{:,}".format,
    "rounded": _rounded,
}
_ENVIRONMENT.globals |= {
    "share": share,
    "ticks": _ticks,
    "has_unspaced": _has_unspaced,
    "longest_name": _LONGEST_NAME,
    "most_names": MOST_NAMES,
}
