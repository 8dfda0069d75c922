import numpy as np
import pytest

from item_embed.categories.abstaining import answered
from item_embed.categories.fitting import Fitted, fit_classifier
from item_embed.categories.leaves import leaf_task
from item_embed.evaluation.categories.quality import measure
from tests.categories.made import ENCODER, made


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    catalog, vectors, _ = made(tmp_path_factory.mktemp("quality") / "catalog", count=1500, noise=1.6)
    return fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER, 0.85)


def test_answers_are_those_of_plain_loops(fitted: Fitted) -> None:
    quality = measure(fitted)
    said = fitted.judging
    assert [one.precision for one in quality.answers] == [0.85, 0.9, 0.95, 0.97, 0.98, 0.99]
    assert quality.wanted == quality.answers[0]
    for one in quality.answers:
        level = answered(said.held.likelihood, fitted.classifier.thresholds(one.precision)).tolist()
        right = [k >= 0 and bool(said.held.right[row, k]) for row, k in enumerate(level)]
        assert one.leaves.value == pytest.approx(level.count(0) / len(level))
        assert one.counts == (level.count(0), level.count(1))
        assert one.coverage == pytest.approx(np.mean([k >= 0 for k in level]))
        for figure, wanted in ((one.right_leaves, 0), (one.right_prefixes, 1)):
            of = [ok for ok, k in zip(right, level, strict=True) if k == wanted]
            if not of:
                assert figure is None
                continue
            assert figure is not None
            assert figure.value == pytest.approx(np.mean(of))
            assert figure.ends[0] <= figure.value <= figure.ends[1]
    assert 0 < quality.wanted.leaves.value < 1


def test_figures_of_the_likeliest_leaf_leave_unknown_ones_out(fitted: Fitted) -> None:
    said, quality = fitted.judging, measure(fitted)
    known = said.given >= 0
    assert (~known).sum() == 1
    assert quality.rows == len(said)
    right = said.probabilities[known].argmax(axis=1) == said.given[known]
    assert quality.figures["accuracy"].value == pytest.approx(right.mean())
    assert set(quality.figures) == {"accuracy", "macro_f1", "top_5_accuracy", "calibration_error"}
    assert quality.figures["top_5_accuracy"].value == 1  # of five
    assert quality.as_json()["answers"][0]["wanted_precision"] == 0.85
