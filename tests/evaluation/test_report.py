import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.evaluation.queries import catalog_queries
from item_embed.evaluation.report import (
    Examples,
    Gallery,
    Pictures,
    Plots,
    Section,
    Table,
    Word,
    best_queries,
    by_table,
    difference_table,
    example_queries,
    figure_table,
    source,
    worst_queries,
    write_report,
)
from item_embed.evaluation.same_product import Ranking, SameProductResult, judge
from item_embed.files import OutputError
from tests.catalogs import Row, photo, write_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [Row(f"r{i}", f"<b>thing {i}</b>", photo((6 * i, 9, 9)), product_id=f"p{i // 2}") for i in range(40)]
    return write_catalog(tmp_path / "catalog", rows)


def result(catalog: Catalog, right_first: int, method: str = "model") -> SameProductResult:
    """A method that puts the right row first for so many queries, and last for the others."""
    queries = catalog_queries(catalog)
    partners = queries.rows[:, None] ^ 1
    others = (queries.rows[:, None] + np.arange(2, 19, 2)) % 40
    right = np.arange(40)[:, None] < right_first
    rows = np.where(right, np.hstack([partners, others]), np.hstack([others, partners]))
    scores = np.linspace(1, 0, 10, dtype=np.float32)[None].repeat(40, axis=0)
    return judge(Ranking(rows.astype(np.int64), scores), queries, method, "both")


def metrics_file(path: Path, objectives: tuple[str, ...] = ("itm", "gmlm")) -> Path:
    lines = [
        {"step": step, "samples": 32 * step, "split": split, "losses": dict.fromkeys(objectives, 1 / step)}
        for step in (10, 20, 30)
        for split in ("train", "validation")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 40, "sam', encoding="utf8")
    return path


class Outline(HTMLParser):
    """Which tags a page opens, and whether each is closed; it collects what would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith(("data:", "#")):
                self.fetched.append(f"{tag} {value}")


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path, catalog: Catalog) -> None:
    found = result(catalog, 10)
    metrics = metrics_file(tmp_path / "metrics.jsonl")
    path = tmp_path / "new" / "report.html"
    tables = [figure_table([found]), Table("Speed", ["<what>", "rows/s"], [["a & b", "12"]], note="once")]
    write_report(path, "A <title>", tables, example_queries(found, catalog), metrics)
    html = path.read_text(encoding="utf8")
    outline = Outline(html)
    assert html.startswith("<!doctype html>")
    assert outline.fetched == []
    assert "script" not in outline.tags
    assert outline.tags.count("table") == 2
    assert outline.tags.count("svg") == 2
    assert "<h1>A &lt;title&gt;</h1>" in html
    assert "&lt;what&gt;" in html
    assert "a &amp; b" in html
    assert "&lt;b&gt;thing 1&lt;/b&gt;" in html
    assert "<b>thing" not in html


def test_a_page_of_tables_alone(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", "Bare", [Table("T", ["a"], [["1"]])])
    html = (tmp_path / "report.html").read_text(encoding="utf8")
    assert "Losses" not in html
    assert "Queries" not in html


def section(title: str, found: SameProductResult, catalog: Catalog) -> Section:
    words = [Word("red"), Word("mu", "hidden"), Word("g", "right", glued=True), Word("<i>", "wrong")]
    return Section(
        title,
        f"{title} & more.",
        remarks=["<few>"],
        plots=[Plots("Lines", ["<svg id='drawn'></svg>"], "of <all>"), Plots("Map", ["<svg></svg>"], wide=True)],
        tables=[Table("Short", ["a"], [["1"]] * 3), Table("Long", ["a"], [["1"]] * 30)],
        galleries=[Gallery("Seen", "once", [Pictures([("a <photo>", photo((1, 2, 3)))], [("title", words)])])],
        examples=[Examples("Best", "first", best_queries(found, catalog, count=1))],
    )


def test_sections_have_a_table_of_contents_and_say_what_is_left_out(tmp_path: Path, catalog: Catalog) -> None:
    found = result(catalog, 10)
    sections = [section("Same product", found, catalog), section("Leaf category", found, catalog)]
    write_report(tmp_path / "page.html", "All", sections=sections, left_out={"dominance": "no <photo> there."})
    html = (tmp_path / "page.html").read_text(encoding="utf8")
    assert Outline(html).fetched == []
    for said in (
        '<a href="#leaf-category">Leaf category</a>: Leaf category &amp; more.',
        '<section id="leaf-category">',
        "left out: no &lt;photo&gt; there.",
        "<li>&lt;few&gt;</li>",
        "<svg id='drawn'></svg>",
        "of &lt;all&gt;",
        "<summary>30 rows</summary>",
        'alt="a &lt;photo&gt;"',
        '<dd>red <mark class="hidden">mu</mark><mark class="right-word">g</mark> '
        '<mark class="wrong-word">&lt;i&gt;</mark></dd>',
    ):
        assert said in html
    assert html.count("<details>") == 2


def test_one_section_needs_no_table_of_contents(tmp_path: Path, catalog: Catalog) -> None:
    write_report(tmp_path / "page.html", "One", sections=[section("Same product", result(catalog, 9), catalog)])
    assert "<nav>" not in (tmp_path / "page.html").read_text(encoding="utf8")


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", "T", [])


def test_tables_show_figures_with_their_intervals(catalog: Catalog) -> None:
    good, poor = result(catalog, 40), result(catalog, 10, "poor")
    shown = figure_table([good, poor])
    assert [row[0] for row in shown.rows] == ["model", "poor"]
    assert shown.rows[0][2] == "1.000 [1.000, 1.000]"
    assert re.fullmatch(r"0\.250 \[0\.\d{3}, 0\.\d{3}\]", shown.rows[1][2])
    assert shown.note.startswith("40 queries, listings of the catalogue")
    difference = difference_table(good, [poor])
    assert re.fullmatch(r"\+0\.750 \[\+0\.\d{3}, \+0\.\d{3}\]", difference.rows[0][1])


def test_a_table_by_a_column(catalog: Catalog) -> None:
    results = [result(catalog, 10), result(catalog, 0, "poor")]
    for found in results:
        found.queries.columns["kind"] = ["near"] * 10 + ["far"] * 30
    assert [row[:4] for row in by_table(results, "kind").rows] == [
        ["far", "model", "30", "0.000 [0.000, 0.000]"],
        ["far", "poor", "30", "0.000 [0.000, 0.000]"],
        ["near", "model", "10", "1.000 [1.000, 1.000]"],
        ["near", "poor", "10", "0.000 [0.000, 0.000]"],
    ]


@pytest.mark.parametrize(("right_first", "shown_right"), [(20, 6), (2, 2), (38, 10), (0, 0), (40, 12)])
def test_examples_mix_right_and_wrong_ones(catalog: Catalog, right_first: int, shown_right: int) -> None:
    examples = example_queries(result(catalog, right_first), catalog)
    assert len(examples) == 12
    assert sum(bool(query.hits[0].right) for query in examples) == shown_right
    assert all(query.photo and len(query.hits) == 5 for query in examples)


def test_the_best_and_the_worst_are_those_of_plain_sorting(catalog: Catalog) -> None:
    found = result(catalog, 21)  # query 20 is right at once, 21 of the same product only at rank 10
    found.ranking.scores[30, 0] = 2.0
    best, worst = best_queries(found, catalog, count=3), worst_queries(found, catalog, count=3)
    assert [query.title for query in best] == [f"<b>thing {number}</b>" for number in (0, 2, 4)]  # one of each product
    assert [query.title for query in worst] == [f"<b>thing {number}</b>" for number in (30, 21, 22)]
    assert all(query.hits[0].right for query in best)
    assert not any(query.hits[0].right for query in worst)
    assert len(best_queries(found, catalog, count=99)) == 11
    assert best_queries(result(catalog, 0), catalog) == []
    assert worst_queries(result(catalog, 40), catalog) == []


def test_pages_say_where_queries_come_from(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    assert source(queries).startswith("listings of the catalogue, each left out")
    assert source(replace(queries, split="test")).startswith("listings of the catalogue of the test split")
    assert source(replace(queries, protocol="given")) == "given in a file"
    relisted = replace(queries, protocol="relistings", split="test")
    assert source(relisted) == "simulated second listings of rows of the test split"


def test_few_queries_are_marked_and_what_was_joined_comes_last(catalog: Catalog) -> None:
    found = result(catalog, 10)
    found.queries.columns["kind"] = ["others (7 values)"] * 20 + ["seldom"] * 3 + ["often"] * 17
    shown = by_table([found], "kind")
    assert [(row[0], row[2]) for row in shown.rows] == [("often", "17"), ("seldom", "3*"), ("others (7 values)", "20")]
    assert shown.note == "*: fewer than 10 queries: such figures say little."
    found.queries.columns["kind"] = ["often"] * 40
    assert not by_table([found], "kind").note


def test_examples_are_drawn_by_seed(catalog: Catalog) -> None:
    found = result(catalog, 20)
    titles = [query.title for query in example_queries(found, catalog)]
    assert titles == [query.title for query in example_queries(found, catalog)]
    assert titles != [query.title for query in example_queries(found, catalog, seed=1)]


def test_examples_say_where_the_first_right_one_is(catalog: Catalog) -> None:
    [query] = example_queries(result(catalog, 0), catalog, count=1)
    assert query.note == "The first right one is at rank 10."
    assert not any(hit.right for hit in query.hits)
