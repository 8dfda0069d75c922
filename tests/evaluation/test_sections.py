"""Sections are made of any result, be it ever so small, without NaN; what they say is checked where it is measured."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe
from item_embed.evaluation.alterations import TITLE_ALTERATIONS
from item_embed.evaluation.dominance import evaluate_dominance
from item_embed.evaluation.finders import vector_finder
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.leaf_category import evaluate_leaf_category
from item_embed.evaluation.neighbours import nearest_neighbours
from item_embed.evaluation.queries import QuerySet, catalog_queries, subset
from item_embed.evaluation.reconstruction import Reconstruction
from item_embed.evaluation.report import Pictures, Section, Table, write_report
from item_embed.evaluation.robustness import evaluate_robustness
from item_embed.evaluation.same_product import SameProductResult
from item_embed.evaluation.sections import (
    dominance_section,
    leaf_category_section,
    reconstruction_section,
    robustness_section,
    same_product_section,
)
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.fakes import Codes, Fake, mean_colour, shop

TABLES = [Table("Figures", ["a"], [["1"]])]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def reader() -> Fake:
    """Reads the last word of titles and the colour of photos."""
    words = Codes(64)
    return Fake(67, lambda image, title: np.concatenate([words(title and title.split()[-1]), mean_colour(image) / 200]))


def found(catalog: Catalog, queries: QuerySet, method: str = "model") -> SameProductResult:
    return replace(vector_finder(reader(), catalog).find(queries), method=method)


def page(section: Section, tmp_path: Path) -> str:
    """The page of a section: whole, and without NaN."""
    write_report(tmp_path / "page.html", "A page", sections=[section])
    html = (tmp_path / "page.html").read_text(encoding="utf8")
    assert not re.search(r"[\s\">](nan|None)[\"<]", html)
    assert section.summary in html
    return html


def test_same_product_beside_others(catalog: Catalog, tmp_path: Path) -> None:
    queries = catalog_queries(catalog)
    queries.columns["kind"] = ["near", "far"] * 12
    results = [found(catalog, queries), found(catalog, queries, "another")]
    section = same_product_section(results, catalog, TABLES, "24 queries.", by="kind", remarks=["few."])
    html = page(section, tmp_path)
    assert [len(plots.svgs) for plots in section.plots] == [3, 1]
    for said in (">hit@1<", ">macro recall@10<", ">MAP@10<", ">another<", ">near (12)<", "<li>few.</li>"):
        assert said in html


def test_same_product_of_one_query(catalog: Catalog, tmp_path: Path) -> None:
    queries = subset(catalog_queries(catalog), np.array([3]))
    section = same_product_section([found(catalog, queries)], catalog, TABLES, "One query.")
    page(section, tmp_path)
    assert [len(plots.svgs) for plots in section.plots] == [1]
    assert len(section.examples) == 2  # drawn, and either best or worst


def test_leaf_category_with_mistakes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=200)
    features = np.eye(4, dtype=np.float32)[labels] + 0.6 * generator.normal(size=(200, 4)).astype(np.float32)
    catalog = write_catalog(tmp_path / "catalog", [Row(f"r{i}", f"thing {i}", photo((i, 9, 9))) for i in range(200)])
    train, validation, test = np.split(np.arange(200), [100, 150])
    task = LeafTask(("A > X", "A > Y", "B > X", "B > Z"), labels, np.arange(200) // 2, train, validation, test)
    results = evaluate_leaf_category(task, {"probe": linear_probe(features), "knn": nearest_neighbours(features)})
    section = leaf_category_section(results, catalog, TABLES, "50 rows.", remarks=["few."])
    html = page(section, tmp_path)
    for said in (">knn<", ">all<", ">scaled<", ">A &gt; X<", ">B &gt; X<", ">Z<", "taken for", "any other"):
        assert said in html
    [gallery] = section.galleries
    assert [dict(row.lines)["leaf"][0].text for row in gallery.rows] == [one.truth for one in results[0].confusions(6)]


def test_leaf_category_without_mistakes_or_validation_or_curve(tmp_path: Path) -> None:
    labels = np.arange(40) % 2
    catalog = write_catalog(tmp_path / "catalog", [Row(f"r{i}", f"thing {i}") for i in range(40)])
    train, test = np.split(np.arange(40), [38])
    task = LeafTask(("A", "B"), labels, np.zeros(40, np.int64), train, np.zeros(0, np.int64), test)
    probe = linear_probe(np.eye(2, dtype=np.float32)[labels])
    results = evaluate_leaf_category(task, {"probe": probe}, per_leaf=())
    assert results[0].judged.right.all()
    section = leaf_category_section(results, catalog, TABLES, "2 rows.")
    html = page(section, tmp_path)
    assert not section.galleries
    assert ">scaled<" not in html
    assert len(section.plots) == 1


def test_dominance_with_retrieval_and_without(catalog: Catalog, tmp_path: Path) -> None:
    section = dominance_section(evaluate_dominance(reader(), catalog, catalog_queries(catalog)), TABLES, "24 listings.")
    html = page(section, tmp_path)
    for said in (">the title alone<", ">the photo alone<", ">photo swapped<", ">image<"):
        assert said in html
    still = evaluate_dominance(Fake(1, lambda *_: np.ones(1)), catalog, None, most=1)  # neither moves it; one listing
    section = dominance_section(still, TABLES, "1 listing.")
    assert "+0.00" in page(section, tmp_path)
    assert [len(plots.svgs) for plots in section.plots] == [2]


def test_robustness_has_a_plot_for_each_alteration(catalog: Catalog, tmp_path: Path) -> None:
    alterations = {name: TITLE_ALTERATIONS[name] for name in ("cut", "words_left_out")}
    robust = evaluate_robustness(
        vector_finder(reader(), catalog), catalog_queries(catalog), titles=alterations, photos={}
    )
    section = robustness_section(robust, TABLES, "24 queries.")
    html = page(section, tmp_path)
    assert [(plots.title, len(plots.svgs)) for plots in section.plots] == [("Titles altered", 2)]
    assert ">cut<" in html
    assert ">first words kept<" in html
    assert robustness_section(replace(robust, curves=()), TABLES, "24 queries.").plots == []


def test_robustness_where_nothing_is_found(catalog: Catalog, tmp_path: Path) -> None:
    blind = vector_finder(Fake(1, lambda *_: np.ones(1)), catalog)
    lost = catalog_queries(catalog)
    one = subset(lost, np.array([0]))
    robust = evaluate_robustness(blind, one, photos={})
    assert "1 query." in page(robustness_section(robust, TABLES, "1 query."), tmp_path)


@pytest.mark.parametrize(
    "names", [("mlm_top1",), ("gmim_error",), ("mlm_top1", "gmlm_top1", "mim_error", "gmim_error")]
)
def test_reconstruction_shows_the_heads_that_are_there(names: tuple[str, ...], tmp_path: Path) -> None:
    position = {name.rsplit("_")[-1]: Figure(0.25, None, None, "few") for name in names}
    made = Reconstruction("test", 3, {"tokens": 4, "patches": 5}, dict.fromkeys(names, Figure(0.5, 0.4, 0.6)), position)
    section = reconstruction_section(made, TABLES, "3 rows.", [Pictures([("photo", photo((1, 2, 3)))], [])])
    html = page(section, tmp_path)
    assert len(section.plots[0].svgs) == len(position)
    for name in names:
        assert f">{name.split('_')[0].upper()}<" in html
    assert ">position alone<" in html
    assert len(section.galleries) == 1
    assert not reconstruction_section(made, TABLES, "3 rows.").galleries
