"""What all tests of commands share."""

from typing import TYPE_CHECKING, TextIO

import pytest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plot only its title is written: rendering takes longest, and is tested with plots, sections and pages."""

    def write_title(canvas: "Figure", file: TextIO, **_: object) -> None:
        file.write(f"<svg>{canvas.axes[0].get_title('left')}</svg>")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", write_title)
