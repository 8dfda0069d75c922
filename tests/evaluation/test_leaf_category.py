import json
from dataclasses import replace

import numpy as np
import pytest

from item_embed.categories.calibration import confidence_bins
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe
from item_embed.categories.self_training import self_trained
from item_embed.errors import ConfigError
from item_embed.evaluation.classification import figures, judge
from item_embed.evaluation.leaf_category import LeafCategoryResult, as_json, evaluate_leaf_category
from item_embed.evaluation.neighbours import nearest_neighbours
from item_embed.evaluation.tables import learning_curve_table

LEAVES = ("A > X", "A > Y", "B > X", "B > Y")


def made() -> tuple[LeafTask, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=200)
    features = np.eye(4, dtype=np.float32)[labels] + 0.6 * generator.normal(size=(200, 4)).astype(np.float32)
    train, validation, test = np.split(np.arange(200), [100, 150])
    return LeafTask(LEAVES, labels, np.arange(200) // 2, train, validation, test, ("a remark.",)), features


@pytest.fixture(scope="module")
def results() -> list[LeafCategoryResult]:
    task, features = made()
    methods = {"linear_probe": linear_probe(features), "knn": nearest_neighbours(features)}
    return evaluate_leaf_category(task, methods, per_leaf=(5, 1))


def test_every_method_learns_from_the_same_rows(results: list[LeafCategoryResult]) -> None:
    assert [result.method for result in results] == ["linear_probe", "knn"]
    for result in results:
        assert list(result.curve) == [1, 5]
        assert [judged.training_rows for judged in result.curve.values()] == [4, 20]
        assert result.judged.training_rows == 100
        assert result.learning_curve()[5] == figures(result.curve[5])
        assert result.figures()["accuracy"].value > 0.5


def test_a_second_run_is_the_same(results: list[LeafCategoryResult]) -> None:
    task, features = made()
    [again] = evaluate_leaf_category(task, {"linear_probe": linear_probe(features)}, per_leaf=(1,))
    assert again.figures() == results[0].figures()
    assert again.learning_curve()[1] == results[0].learning_curve()[1]


def test_a_curve_with_self_training_beside() -> None:
    task, features = made()
    methods = {"linear_probe": linear_probe(features), "knn": nearest_neighbours(features)}
    probe, knn = evaluate_leaf_category(task, methods, per_leaf=(5, 1), self_train=["linear_probe"])
    assert not knn.self_trained
    assert not knn.learning_curve(self_trained=True)
    assert list(probe.self_trained) == list(probe.curve) == [1, 5]
    assert [judged.training_rows for judged in probe.self_trained.values()] == [4, 20]  # that were labelled
    taught = judge(self_trained(methods["linear_probe"])(task, task.drawn(5)), task, 20)
    assert probe.learning_curve(self_trained=True)[5] == figures(taught) != figures(probe.curve[5])
    found = as_json([probe, knn])["methods"]
    accuracy = found["linear_probe"]["per_leaf_self_trained"]["5"]["accuracy"]
    assert accuracy == figures(taught)["accuracy"].as_json()
    assert "per_leaf_self_trained" not in found["knn"]
    table = learning_curve_table([probe, knn])
    assert [row[0] for row in table.rows] == ["linear_probe", "linear_probe, self-trained", "knn"]
    assert table.rows[1][1:] == [*(one["accuracy"].text() for one in map(figures, probe.self_trained.values())), ""]
    assert "their labels are not" in (table.note or "")


def top_levels(result: LeafCategoryResult) -> list[str]:
    return [LEAVES[leaf][0] for leaf in result.judged.truth]


def test_accuracy_by_a_column_adds_up(results: list[LeafCategoryResult]) -> None:
    found = results[0].accuracy_by(top_levels(results[0]))
    assert list(found) == ["A", "B"]
    assert sum(rows for rows, _ in found.values()) == 50
    right = sum(rows * accuracy.value for rows, accuracy in found.values())
    assert right == pytest.approx(results[0].judged.right.sum())


@pytest.mark.parametrize("scaled", [False, True])
def test_reliability_is_that_of_plain_loops(results: list[LeafCategoryResult], scaled: bool) -> None:
    judged = results[0].judged
    confidence = judged.scaled if scaled else judged.confidence
    bins = confidence_bins(confidence, 2)  # of at least twenty rows each
    expected = [
        (confidence[bins == number].mean(), judged.right[bins == number].mean()) for number in sorted(set(bins))
    ]
    found = results[0].reliability(scaled=scaled)
    assert len(found) == len(judged) // 20 == 2
    assert np.allclose([(mean, accuracy.value) for mean, accuracy in found], expected)
    assert all(accuracy.low is not None and accuracy.low <= accuracy.value for _, accuracy in found)


def test_confusions_are_those_of_plain_loops(results: list[LeafCategoryResult]) -> None:
    result = results[0]
    judged, task = result.judged, result.task
    confusions = result.confusions(most=100, examples=2)
    assert [one.count for one in confusions] == sorted((one.count for one in confusions), reverse=True)
    assert sum(one.count for one in confusions) == (~judged.right).sum()
    for one in confusions:
        truth, predicted = LEAVES.index(one.truth), LEAVES.index(one.predicted)
        places = np.flatnonzero((judged.truth == truth) & (judged.predicted == predicted))
        assert one.count == len(places)
        assert one.of == (judged.truth == truth).sum()
        surest = sorted(places, key=lambda place: -judged.scaled[place])[:2]
        assert one.rows == tuple(task.test[surest])
    assert result.confusions(most=1) == result.confusions()[:1]


def test_json_holds_figures_counts_and_differences(results: list[LeafCategoryResult]) -> None:
    by = "top", top_levels(results[0])
    found = json.loads(json.dumps(as_json(results, "knn", by=by, remarks=["more."]), allow_nan=False))
    assert found["rows"] == {"train": 100, "validation": 50, "test": 50}
    assert (found["groups"], found["leaves"], found["leaves_in_test"]) == (25, 4, 4)
    assert found["remarks"] == ["a remark.", "more."]
    assert found["baseline"] == "knn"
    probe, knn = found["methods"]["linear_probe"], found["methods"]["knn"]
    assert probe["accuracy"] == results[0].figures()["accuracy"].as_json()
    assert probe["answered"] == results[0].judged.answered.sum()
    assert probe["per_leaf"]["5"]["training_rows"] == 20
    assert probe["by"]["top"]["A"]["rows"] + probe["by"]["top"]["B"]["rows"] == 50
    difference = probe["accuracy"]["value"] - knn["accuracy"]["value"]
    assert probe["minus_baseline"]["accuracy"]["value"] == pytest.approx(difference)
    assert "minus_baseline" not in knn
    plain = as_json(results)
    assert "baseline" not in plain
    assert "by" not in plain["methods"]["knn"]


def test_without_validation_rows_there_are_figures_all_the_same() -> None:
    task, features = made()
    task = replace(task, validation=np.zeros(0, np.int64))
    methods = {"linear_probe": linear_probe(features), "knn": nearest_neighbours(features)}
    found = as_json(evaluate_leaf_category(task, methods, per_leaf=()))
    for method in found["methods"].values():
        assert method["temperature"] is None
        assert "coverage_at_95" not in method
        assert method["accuracy"]["value"] > 0.5
    json.dumps(found, allow_nan=False)


def test_a_learning_curve_of_no_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one row of each leaf, not 0"):
        evaluate_leaf_category(made()[0], {}, per_leaf=(5, 0))
