"""HTML pages of queries and what was found for them: one file, no scripts, nothing fetched from elsewhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_SIGNATURES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}

#: The style sheet of every page: light and dark, phone and desk.
PAGE_STYLE = (_TEMPLATES / "page.css").read_text(encoding="utf8")


@dataclass(frozen=True)
class PageHit:
    """A product that was found.

    Attributes:
        title: its title.
        photo: its photo as JPEG, PNG, GIF or WebP, or None.
        score: its cosine to the query.
        note: a line below the title.
        right: whether it is what was looked for; None where that is not known. Only right ones are marked.
        id: its id, where that is to be shown.
        facts: what else is known of it, by name; beyond a few they are to be opened.
    """

    title: str
    photo: bytes | None
    score: float
    note: str = ""
    right: bool | None = None
    id: str = ""
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class PageQuery:
    """What was looked for, and its hits, best first; `note` is a line below the title, `label` one above it."""

    title: str
    photo: bytes | None
    hits: Sequence[PageHit]
    note: str = ""
    label: str = "Query"


def render_queries(queries: Sequence[PageQuery]) -> str:
    """The queries with their hits as an HTML fragment, all text escaped, photos as `data:` addresses.

    Examples:
        >>> "red mug" in render_queries([PageQuery("red mug", None, [])])
        True
    """
    return _ENVIRONMENT.get_template("queries.html").render(queries=queries)


def page(title: str, body: str) -> str:
    """A whole HTML document that needs no other file.

    Args:
        title: its title and first heading, as plain text.
        body: what follows, as HTML, such as `render_queries` returns.

    Examples:
        >>> page("Search", "<p>Nothing yet.</p>").startswith("<!doctype html>")
        True
    """
    template = _ENVIRONMENT.get_template("page.html")
    return template.render(title=title, body=Markup(body), style=Markup(PAGE_STYLE))


def _data_uri(photo: bytes) -> str:
    kind = next((kind for start, kind in _SIGNATURES.items() if photo.startswith(start)), None)
    if kind is None:
        raise ValueError("a photo on a page must be a JPEG, PNG, GIF or WebP")
    return f"data:image/{kind};base64,{base64.b64encode(photo).decode()}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    keep_trailing_newline=False,
)
_ENVIRONMENT.globals["first_facts"] = 3  # of a product on its card, as on the page of `item serve`; the others open
_ENVIRONMENT.filters["data_uri"] = _data_uri
