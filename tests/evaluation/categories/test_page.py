from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.fitting import Fitted, fit_classifier
from item_embed.categories.leaves import leaf_task
from item_embed.categories.suspects import Labels, find_suspects
from item_embed.evaluation.categories.page import levels_told, typical_rows, write_page
from item_embed.evaluation.categories.quality import measure
from item_embed.evaluation.intervals import Figure
from tests.categories.made import ENCODER, made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Fitted, Labels]:
    catalog, vectors, _ = made(tmp_path_factory.mktemp("page") / "catalog", count=900, noise=0.4, wrong=0.04)
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER, 0.9)
    return catalog, fitted, find_suspects(fitted)


def test_the_page_shows_figures_and_suspects_and_needs_nothing_else(
    tmp_path: Path, found: tuple[Catalog, Fitted, Labels]
) -> None:
    catalog, fitted, labels = found
    write_page(tmp_path / "report.html", catalog, fitted, measure(fitted), labels)
    page = (tmp_path / "report.html").read_text(encoding="utf8")
    for shown in ("Answers by wanted precision", "Suspected wrong labels", "A leaf is answered from", "0.9 *"):
        assert shown in page, shown
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    for place in labels.suspects[:60]:
        assert catalog.ids[labels.rows[place]] in page
    assert page.count("<figcaption>this row</figcaption>") == sum(
        bool(catalog.has_photo[labels.rows[place]]) for place in labels.suspects[:60]
    )


def test_a_catalogue_without_a_suspect_is_told_so(tmp_path: Path, found: tuple[Catalog, Fitted, Labels]) -> None:
    catalog, fitted, labels = found
    none = replace(labels, suspected=np.zeros_like(labels.suspected))
    write_page(tmp_path / "report.html", catalog, fitted, measure(fitted), none)
    assert f"None of {len(labels.rows):,} labelled rows." in (tmp_path / "report.html").read_text(encoding="utf8")


def test_suspects_of_a_classifier_that_is_often_wrong_are_told_as_that(
    tmp_path: Path, found: tuple[Catalog, Fitted, Labels]
) -> None:
    catalog, fitted, labels = found
    sure = measure(fitted)
    unsure = replace(sure, figures={**sure.figures, "macro_f1": Figure(0.42, 0.3, 0.5)})
    for quality, told in ((sure, False), (unsure, True)):
        write_page(tmp_path / "report.html", catalog, fitted, quality, labels)
        page = (tmp_path / "report.html").read_text(encoding="utf8")
        assert ("often wrong: its macro-F1 on test rows is 0.420" in page) is told


def test_a_typical_row_has_a_photo_and_the_label_that_it_looks_like(found: tuple[Catalog, Fitted, Labels]) -> None:
    catalog, _, labels = found
    for leaf, row in enumerate(typical_rows(catalog, labels)):
        assert catalog.has_photo[row]
        assert catalog.categories[row] == labels.leaves[leaf]
        of_leaf = (labels.given == leaf) & (labels.predicted == leaf) & catalog.has_photo[labels.rows]
        assert labels.own[labels.rows == row] == labels.own[of_leaf].max()


def test_where_no_threshold_is_sure_it_says_so(found: tuple[Catalog, Fitted, Labels]) -> None:
    _, fitted, _ = found
    sure = replace(fitted, classifier=replace(fitted.classifier, precision=0.99999))
    [told] = levels_told(sure)
    assert told.startswith("No threshold could be promised for a precision of 0.99999: ")
    assert all("is answered from a probability of" in one for one in levels_told(fitted))
