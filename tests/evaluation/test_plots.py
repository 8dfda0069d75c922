import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.plots import (
    Series,
    curve_plot,
    dot_plot,
    draw_grid,
    heat_map,
    line_plot,
    loss_curves,
    plot_svg,
    two_lines,
)

HALF = Figure(0.5, 0.4, 0.6)
NOTHING = Figure(0.0, None, None, "too few")
FULL = Figure(1.0, 1.0, 1.0)
BELOW = Figure(-0.25, -0.5, 0.1)
LONG = "Apparel and many other things that have one very long name, and no end of it"

PLOTS: dict[str, Callable[[], str]] = {
    "one dot": lambda: dot_plot("T", [("model", NOTHING)]),
    "dots": lambda: dot_plot("T", [("model", HALF), (LONG, BELOW), ("", FULL)], bars=True),
    "many dots": lambda: dot_plot("T", [(f"value {number}", HALF) for number in range(31)]),
    "one point": lambda: curve_plot("T", [Series("a", [3], [HALF])]),
    "one point at nothing": lambda: curve_plot("T", [Series("a", [0], [NOTHING])], level=NOTHING),
    "one point by ratio": lambda: curve_plot("T", [Series("a", [2], [NOTHING])], log=True, ticks={2: "all"}),
    "curves": lambda: curve_plot("T", [Series("a", [1, 5], [HALF, NOTHING]), Series("b", [1, 5], [FULL, FULL])]),
    "a diagonal": lambda: curve_plot("T", [Series("a", [0.5, 0.5], [HALF, HALF])], diagonal=True),
    "a level": lambda: curve_plot("T", [Series("a", [8, 0], [HALF, NOTHING])], level=FULL, limits=(0, 1)),
    "a line": lambda: line_plot("T", BELOW, ("title", "photo")),
    "the end of a line": lambda: line_plot("T", FULL, ("title", "photo")),
    "a map": lambda: heat_map("T", ["a", LONG], ["a", LONG], np.array([[3, 0], [1, 0]]), np.eye(2, dtype=bool)),
    "one of one's own": lambda: plot_svg("T", 2, lambda axes: draw_grid(axes, "y")),
    "an empty map": lambda: heat_map("T", ["a"], ["a"], np.zeros((1, 1), np.int64), np.eye(1, dtype=bool)),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_an_svg_in_the_colour_of_the_text(name: str) -> None:
    svg = PLOTS[name]()
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    assert ">T<" in svg
    assert "currentColor" in svg
    assert not re.search(r"\b(nan|inf)\b|#010203|#000000|<metadata", svg)


@pytest.mark.parametrize("name", ["dots", "curves", "a line", "a map"])
def test_equal_figures_give_equal_bytes(name: str) -> None:
    assert PLOTS[name]() == PLOTS[name]()


def places(svg: str, *labels: str) -> list[float]:
    """How far to the right each label stands."""
    return [float(re.search(rf'x="([\d.]+)"[^>]*>{re.escape(label)}<', svg).group(1)) for label in labels]  # type: ignore[union-attr]


def test_a_long_name_has_two_lines() -> None:
    assert two_lines("model") == "model"
    assert two_lines(LONG) == "Apparel and many other\nthings that have one …"


def test_values_stand_beside_their_dots() -> None:
    svg = dot_plot("hit@1", [("model", HALF), ("tfidf", Figure(0.625, None, None))])
    for text in ("model", "tfidf", "0.500", "0.625"):
        assert f">{text}<" in svg


def test_what_is_asked_about_stands_out() -> None:
    rows = [("a", HALF), ("b", HALF), ("c", HALF)]
    marks = [len(re.findall("#858d96", dot_plot("T", rows, first=first))) for first in (1, 2, 3)]
    assert marks[0] > marks[1] > marks[2] == 0


def test_strengths_that_fall_run_to_the_right() -> None:
    falling = curve_plot("T", [Series("cut", [8, 4, 0], [HALF, HALF, HALF])], ticks={8: "eight", 0: "none"})
    rising = curve_plot("T", [Series("cut", [0, 4, 8], [HALF, HALF, HALF])], ticks={8: "eight", 0: "none"})
    assert places(falling, "eight") < places(falling, "none")
    assert places(rising, "none") < places(rising, "eight")


def test_equal_ratios_are_equally_far_apart() -> None:
    ticks: dict[float, str] = {1: "one", 10: "ten", 100: "all"}
    svg = curve_plot("T", [Series("a", [1, 10, 100], [HALF, HALF, HALF])], log=True, ticks=ticks)
    one, ten, hundred = places(svg, "one", "ten", "all")
    assert ten - one == pytest.approx(hundred - ten)


def test_several_curves_are_named() -> None:
    curve = Series("probe", [1, 2], [HALF, HALF])
    assert ">probe<" not in curve_plot("T", [curve])
    assert ">probe<" in curve_plot("T", [curve, Series("tfidf", [1, 2], [HALF, HALF])])


def test_a_map_shows_counts_that_are_not_zero() -> None:
    svg = heat_map("T", ["a", "b"], ["a", "b", "c"], np.array([[31, 0, 2], [0, 17, 0]]), np.eye(2, 3, dtype=bool))
    assert [text for text in ("31", "17", "2", "0") if f">{text}<" in svg] == ["31", "17", "2"]
    assert "#3f7fd1" in svg
    assert "#d1603d" in svg


def metrics_file(path: Path, objectives: tuple[str, ...]) -> Path:
    lines = [
        {"step": step, "samples": 32 * step, "split": split, "losses": dict.fromkeys(objectives, 1 / step)}
        for step in (10, 20, 30)
        for split in ("train", "validation")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 40, "sam', encoding="utf8")
    return path


def test_there_is_a_panel_for_every_objective(tmp_path: Path) -> None:
    curves = loss_curves(metrics_file(tmp_path / "metrics.jsonl", ("itm", "mlm", "gmim")))
    assert [re.findall(r">(ITM|MLM|GMIM)<", svg) for svg in curves] == [["ITM"], ["MLM"], ["GMIM"]]
    for svg in curves:
        assert "held out" in svg
    assert curves == loss_curves(tmp_path / "metrics.jsonl")


def test_without_losses_there_are_no_panels(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    assert loss_curves(tmp_path / "metrics.jsonl") == []
