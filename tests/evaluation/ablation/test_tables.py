import json
import re

import pytest

from item_embed.evaluation.ablation.plan import AxisRuns, PointRuns, Run
from item_embed.evaluation.ablation.results import AblationResult, AxisResult, axis_result
from item_embed.evaluation.ablation.tables import (
    ablation_json,
    ablation_tables,
    axis_summary,
    axis_tables,
    markdown,
    remarks,
)
from tests.evaluation.ablation.found import ABOUT, CONFIG, MADE, NAMED, made


def test_a_table_has_a_row_for_each_point_and_says_what_is_there(axis: AxisResult) -> None:
    shown = axis_tables(axis, ABOUT)[0]
    assert shown.title == "tasks"
    assert list(shown.columns) == ["point", "macro recall@10", "dominance index", "training"]
    heads, recall, index, training = zip(*shown.rows, strict=True)
    assert heads == ("all (base)\n2 runs", "less|<one>\n2 runs", "equal\n1 of 2 runs", "none\n0 of 2 runs\n1 failed")
    assert re.fullmatch(r"0\.420\n\[0\.4\d\d, 0\.4\d\d\]\n\(0\.400-0\.440\)", recall[0])
    assert re.fullmatch(r"0\.400\n\[0\.3\d\d, 0\.4\d\d\]", recall[2])  # one run has no range
    assert index[1] == "+0.050\n[+0.050, +0.050]\n(-0.100 to +0.200)"
    assert training[0] == "512,000 pairs\n1.50 M params\n12.2 minutes"
    assert (recall[3], training[3]) == ("", "")
    assert "400 queries among 1,000 listings; leaf accuracy: 50 labelled rows" in shown.note


def test_differences_are_marked_where_they_decide_nothing(axis: AxisResult) -> None:
    shown = axis_tables(axis, ABOUT)[1]
    assert shown.title == "tasks: minus all"
    less, equal, none = shown.rows
    assert less[1] == "-0.115\n[-0.115, -0.115]\n(-0.130 to -0.100)"
    assert equal[1] == "+0.000 n.s.\n[+0.000, +0.000]"
    assert none[1:] == ["", ""]
    assert "One run alone" in shown.note  # of one of the points


def test_a_failed_run_is_a_row(found: AblationResult) -> None:
    failed = ablation_tables(found, ABOUT)[-1]
    assert failed.rows == [["none", "0", "failed: training stopped at step 3."]]
    assert list(remarks(found, ABOUT)) == ["A remark.", "3 of 8 runs are not made yet."]


def test_nothing_made_is_a_table_without_figures() -> None:
    empty = axis_result(NAMED, {})
    [shown] = axis_tables(empty, ABOUT)
    assert [row[1:] for row in shown.rows] == [[""]] * 4
    assert axis_summary(empty) == "nothing is measured yet."


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (["all 0", "less|<one> 0"], r"all, the base, has the highest macro recall@10, 0\.400 \[.*\]\."),
        (["less|<one> 0"], r"less\|<one> has the highest .*; the base is not measured yet\."),
        (["all 0", "equal 0"], r"all, the base, has"),
    ],
)
def test_the_summary_names_the_best_point(known: list[str], sentence: str) -> None:
    assert re.fullmatch(sentence + ".*", axis_summary(axis_result(NAMED, {name: MADE[name] for name in known})))


def test_the_summary_says_how_far_a_point_is_ahead() -> None:
    other = AxisRuns(NAMED.title, NAMED.points, base=1)
    told = axis_summary(axis_result(other, MADE))
    assert re.search(r"all has the highest .*; above less\|<one> by \+0\.115 \[\+0\.115, \+0\.115\]\.$", told)


def test_the_json_holds_every_run(found: AblationResult) -> None:
    told = json.loads(json.dumps(ablation_json(found, ABOUT), allow_nan=False))
    assert (told["task"], told["runs"], told["made"], told["queries"]) == ("ablate", 8, 5, 400)
    assert told["failed"] == [{"run": "none", "seed": 0, "reason": "training stopped at step 3."}]
    [axis] = told["axes"]
    assert axis["base"] == "all"
    points = {point["point"]: point for point in axis["points"]}
    assert points["all"]["figures"]["macro_recall_at_10"]["by_run"] == pytest.approx([0.40, 0.44])
    assert points["all"]["minus_base"] == {}
    less = points["less|<one>"]["minus_base"]["macro_recall_at_10"]
    assert (less["value"], less["significant"]) == (pytest.approx(-0.115), True)
    assert points["none"] | {"point": "", "value": None} == {
        **{key: [] for key in ("parameters", "samples", "minutes", "cpu_minutes")},
        **{"point": "", "value": None, "planned": 2, "made": 0, "failed": 1, "figures": {}, "minus_base": {}},
    }


def test_markdown_keeps_a_row_in_one_line(found: AblationResult) -> None:
    text = markdown("Ablation", ablation_tables(found, ABOUT))
    lines = text.splitlines()
    assert lines[:3] == ["# Ablation", "", "## tasks"]
    rows = [line for line in lines if line.startswith("| less")]
    assert rows[0].startswith("| less\\|<one><br>2 runs | 0.305<br>[")
    header = next(line for line in lines if line.startswith("| point"))
    assert all(row.replace("\\|", "").count("|") == header.count("|") for row in rows[:1])


def test_a_crossed_axis_tells_the_sizes_of_its_runs() -> None:
    point = PointRuns("both", {("a", 0): Run("a", "a", CONFIG), ("b", 0): Run("b", "b", CONFIG)})
    sizes = {"a": made(0.1, 0.0, 1_000_000), "b": made(0.1, 0.0, 3_000_000)}
    [shown, *_] = axis_tables(axis_result(AxisRuns("x", (point,), 0), sizes), ABOUT)
    assert shown.rows[0][-1].splitlines()[1] == "1.00 to 3.00 M params"
