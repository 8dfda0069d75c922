"""The page of an explanation: both photos with heat maps, both titles with weighted words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from item_embed.explain import Explanation
from item_embed.explain.explanation import Side
from item_embed.files import whole_file
from item_embed.search.page import page
from item_embed.search.thumbnails import data_uri, encoded

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 480  # pixels of a photo's longer side: twice what the page shows, for fine screens
_NAMED = 3  # patches that the text in place of a heat map names


@dataclass(frozen=True)
class _Cell:
    """A patch of a heat map, counted from 1."""

    row: int
    column: int
    weight: float


def render_explanation(found: Explanation, names: tuple[str, str] = ("", "")) -> str:
    """An explanation as an HTML fragment, all text escaped, photos as `data:` addresses.

    Args:
        found: the explanation.
        names: what the two listings are called, as their ids; empty where they have no name.

    Examples:
        >>> "heat map" in render_explanation(explain(embedder, a, b), ("a1", "b7"))  # doctest: +SKIP
        True
    """
    sides = [
        {"letter": letter, "name": name, "side": side, "photo": _photo(side.photo), "cells": _cells(side)}
        for letter, name, side in zip("AB", names, (found.a, found.b), strict=True)
    ]
    return _ENVIRONMENT.get_template("explanation.html").render(
        style=Markup((_TEMPLATES / "explanation.css").read_text(encoding="utf8")),
        found=found,
        sides=sides,
        most_of_words=max((abs(word.weight) for side in (found.a, found.b) for word in side.words), default=0) or 1,
        most_of_patches=max((abs(cell.weight) for side in (found.a, found.b) for cell in _cells(side)), default=0) or 1,
    )


def write_page(path: Path, found: Explanation, names: tuple[str, str] = ("", "")) -> None:
    """Write the page.

    Args:
        path: the file; one of that name is replaced.
        found: the explanation.
        names: as above.

    Raises:
        OutputError: when the file cannot be written.
    """
    body = render_explanation(found, names)
    with whole_file(path) as aside:
        aside.write_text(page("Why two listings are alike", body), encoding="utf8")


def _photo(photo: Image.Image | None) -> str:
    if photo is None:
        return ""
    small = photo.copy()
    small.thumbnail((_LONGEST, _LONGEST))
    return data_uri(encoded(np.asarray(small).transpose(2, 0, 1)))


def _cells(side: Side) -> list[_Cell]:
    if side.patches is None:
        return []
    return [
        _Cell(row + 1, column + 1, float(weight)) for (row, column), weight in np.ndenumerate(side.patches) if weight
    ]


def _strongest(cells: list[_Cell]) -> str:
    """Where those of the largest weights lie."""
    first = sorted(cells, key=lambda cell: -abs(cell.weight))[:_NAMED]
    return "; ".join(f"row {cell.row}, column {cell.column}: {_signed(cell.weight)}" for cell in first)


def _signed(weight: float) -> str:
    """A weight as text: with a true minus, and no sign where it rounds to 0."""
    text = f"{abs(weight):.3f}"
    return text if not float(text) else f"{'+' if weight > 0 else '−'}{text}"  # noqa: RUF001


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"signed": _signed, "strongest": _strongest}
