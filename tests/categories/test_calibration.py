import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.categories.calibration import (
    calibration_error,
    confidence_bins,
    fit_temperature,
    log_likelihood,
    softmax,
)


def random_rows(seed: int, rows: int = 200, leaves: int = 4) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and leaves drawn with the probabilities that they say."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, leaves)) * 2
    drawn = [generator.choice(leaves, p=row) for row in softmax(logits)]
    return logits, np.array(drawn, np.int64)


def test_softmax_and_likelihood_are_those_of_plain_loops() -> None:
    logits, truth = random_rows(0, rows=20)
    for temperature in (0.5, 1.0, 3.0):
        plain = []
        for row in logits:
            powers = [np.exp(value / temperature) for value in row]
            plain.append([power / sum(powers) for power in powers])
        assert softmax(logits, temperature) == pytest.approx(np.array(plain))
        mean = np.mean([np.log(row[leaf]) for row, leaf in zip(plain, truth, strict=True)])
        assert log_likelihood(logits, truth, temperature) == pytest.approx(mean)


def test_leaves_that_a_classifier_does_not_know_have_no_say() -> None:
    logits, truth = random_rows(1)
    wider = np.column_stack([logits, np.full(len(logits), -np.inf)])
    assert softmax(wider)[:, :4] == pytest.approx(softmax(logits))
    assert (softmax(wider)[:, 4] == 0).all()
    more, with_unknown = np.concatenate([wider, wider[:3]]), np.concatenate([truth, [4, 4, 4]])
    assert log_likelihood(more, with_unknown) == pytest.approx(log_likelihood(logits, truth))
    assert fit_temperature(more, with_unknown) == pytest.approx(fit_temperature(logits, truth))
    assert fit_temperature(wider[:3], np.array([4, 4, 4])) == 1
    assert log_likelihood(wider[:3], np.array([4, 4, 4])) == 0


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_temperature_is_the_likeliest_of_a_fine_grid(factor: float) -> None:
    logits, truth = random_rows(2, rows=500)
    found = fit_temperature(logits * factor, truth)
    grid = np.exp(np.linspace(-3, 3, 801))
    best = grid[np.argmax([log_likelihood(logits * factor, truth, float(one)) for one in grid])]
    assert found == pytest.approx(best, rel=0.01)
    assert found == pytest.approx(factor, rel=0.25)  # the truth was drawn at 1


def test_the_temperature_of_a_classifier_without_an_error_is_finite() -> None:
    temperature = fit_temperature(np.eye(3) * 1000, np.arange(3))
    assert 0.01 <= temperature <= 100
    assert np.isfinite(softmax(np.eye(3) * 1000, temperature)).all()


def test_bins_hold_equally_many_rows_and_equal_confidences_stay_together() -> None:
    confidence = np.random.default_rng(3).random(300)
    assert np.bincount(confidence_bins(confidence)).tolist() == [20] * 15
    assert len(np.unique(confidence_bins(np.full(300, 0.7)))) == 1


def test_calibration_error_is_that_of_plain_loops() -> None:
    generator = np.random.default_rng(4)
    confidence = generator.random(150)
    right = generator.random(150) < confidence**2
    ordered = sorted(zip(confidence, right, strict=True))
    bins = [ordered[start : start + 10] for start in range(0, 150, 10)]
    gaps = [abs(np.mean([c for c, _ in bin_]) - np.mean([r for _, r in bin_])) for bin_ in bins]
    assert calibration_error(confidence, right) == pytest.approx(np.mean(gaps))


def test_scaling_mends_overconfidence() -> None:
    logits, truth = random_rows(5, rows=3000)
    sure = logits * 4
    right = sure.argmax(axis=1) == truth
    before = calibration_error(softmax(sure).max(axis=1), right)
    after = calibration_error(softmax(sure, fit_temperature(sure, truth)).max(axis=1), right)
    assert before > 0.15
    assert after < 0.04
