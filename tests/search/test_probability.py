import numpy as np
import pytest

from item_embed.search.probability import ProbabilityTable

TABLE = ProbabilityTable(np.array([0.8, 0.9, 1.0]), np.array([0.0, 0.2, 1.0]))


def test_between_points_the_probability_is_a_line() -> None:
    assert [TABLE.at(cosine) for cosine in (0.8, 0.85, 0.95, 1.0)] == pytest.approx([0, 0.1, 0.6, 1])
    assert TABLE.at(1.0000002) == 1  # rounding makes a little more of a cosine


def test_below_the_lowest_cosine_nothing_is_known() -> None:
    assert TABLE.at(0.79) is None
    assert ProbabilityTable.empty().at(1) is None


def test_a_table_follows_what_it_was_made_of() -> None:
    table = ProbabilityTable.of(lambda cosine: np.square(cosine.astype(np.float64)), 0.25)
    for cosine in np.linspace(0.25, 1, 77).tolist():
        assert table.at(cosine) == pytest.approx(cosine**2, abs=1e-4)
    assert table.at(0.2499) is None


def test_what_is_read_is_what_was_written() -> None:
    read = ProbabilityTable.from_json(TABLE.as_json())
    assert (read.cosine.tolist(), read.probability.tolist()) == (TABLE.cosine.tolist(), TABLE.probability.tolist())
    for damaged in ({"cosine": [1]}, {"cosine": [1], "probability": []}, {"cosine": 3, "probability": 4}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            ProbabilityTable.from_json(damaged)
