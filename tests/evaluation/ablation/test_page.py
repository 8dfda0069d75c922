from pathlib import Path

from item_embed.evaluation.ablation.page import write_page
from item_embed.evaluation.ablation.results import AblationResult, axis_result
from tests.evaluation.ablation.found import ABOUT, MADE, NUMBERS


def test_the_page_is_whole_and_runs_nothing(found: AblationResult, tmp_path: Path) -> None:
    numbers = axis_result(NUMBERS, MADE)
    result = AblationResult((*found.axes, numbers), 5, 8, found.failures)
    write_page(tmp_path / "report.html", "Ablation on <shop>", result, ABOUT)
    html = (tmp_path / "report.html").read_text(encoding="utf8")
    assert "<script" not in html
    assert "Ablation on &lt;shop&gt;" in html
    assert "less|&lt;one&gt;<br>2 runs" in html
    assert "<one>" not in html
    assert html.count("<svg") == 4
    assert html.count("A remark.") == 1
    assert "failed: training stopped at step 3." in html
