from pathlib import Path

import pytest

from item_embed.evaluation.asked import Asked
from item_embed.evaluation.comparison import running
from item_embed.evaluation.comparison.page import comparison_plots, write_page
from item_embed.evaluation.comparison.running import Comparison, compare
from item_embed.evaluation.comparison.setup import Setup
from item_embed.evaluation.comparison.tables import comparison_tables, summary
from tests.evaluation.comparison.learners import fake_learner, labelled_shop
from tests.tiny import tiny_config


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    catalog = labelled_shop(folder / "catalog")
    setup = Setup(folder / "out", catalog.path, tiny_config(), Asked(relist=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "learner", fake_learner)
        return compare(setup, ["simple", "good", "noisy"])


def test_every_figure_has_a_plot_with_the_methods_that_have_it(found: Comparison) -> None:
    plots = comparison_plots(found, "good")
    assert ["photo alone" in plot for plot in plots].count(True) == 1
    for plot in plots:
        assert ("noisy" in plot) == ("photo alone" not in plot)
    first = plots[0]
    assert first.index("good") < first.index("simple") < first.index("noisy")


def test_the_page_needs_no_other_file(found: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    tables = comparison_tables(found, "good")
    write_page(page, "Compared", found, "good", tables=tables, summary=summary(found))
    text = page.read_text(encoding="utf8")
    assert "<svg" in text
    assert "good minus each other method" in text
    assert "Simulated relistings" in text
    assert "<script" not in text


def test_nothing_measured_gives_a_page_all_the_same(found: Comparison, tmp_path: Path) -> None:
    nothing = Comparison(found.questions, {})
    assert comparison_plots(nothing, "good") == []
    tables = comparison_tables(nothing, "good")
    write_page(tmp_path / "page.html", "Compared", nothing, "good", tables=tables, summary=summary(nothing))
    assert "nothing is measured yet" in (tmp_path / "page.html").read_text(encoding="utf8")
