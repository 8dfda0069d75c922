import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.errors import VectorError
from item_embed.search.query_product import HitProbability, QueryProbabilities, leads

LEARNED = HitProbability(intercept=-2, cosine=1, lead=10, least=0.05, most=0.9, lowest=0.3)
KEPT = QueryProbabilities("model", "both", True, 1200, "queries.parquet", 0.01, 0.02, LEARNED)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 90)), min_size=1, max_size=14), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_leads_are_those_of_plain_loops(hits: list[tuple[int, int]], seed: int) -> None:
    cosine = np.array(sorted((score for score, _ in hits), reverse=True)) / 100
    angles = np.radians([angle for _, angle in hits])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    expected = []
    for hit, score in enumerate(cosine):
        rivals = [
            cosine[other]
            for other in range(min(10, len(hits)))
            if other != hit and vectors[hit] @ vectors[other] < np.float32(0.97)
        ]
        expected.append(score - max(rivals, default=cosine[:10][-1]))
    assert leads(cosine, vectors) == pytest.approx(expected)


def test_twins_are_no_rivals() -> None:
    """A shop that has the product twice has found it twice, not half each."""
    apart = np.eye(3, dtype=np.float32)
    cosine = np.array([0.9, 0.9, 0.4])
    assert leads(cosine, apart) == pytest.approx([0, 0, -0.5])
    assert leads(cosine, apart[[0, 0, 1]]) == pytest.approx([0.5, 0.5, -0.5])
    assert leads(cosine, apart[[0, 0, 0]]) == pytest.approx([0.5, 0.5, 0])  # at least: the next may be no twin


def test_no_hits_and_deleted_ones() -> None:
    assert leads(np.empty(0), np.empty((0, 2), np.float32)).tolist() == []
    gone = np.array([[0, 0], [1, 0]], np.float32)
    assert leads(np.array([0.9, 0.4]), gone) == pytest.approx([0.5, -0.5])


def test_probabilities_are_a_logistic_curve_between_bounds() -> None:
    cosine, lead = np.array([0.8, 0.5]), np.array([0.1, -0.1])
    expected = 1 / (1 + np.exp(-(-2 + cosine + 10 * lead)))
    assert LEARNED(cosine, lead) == pytest.approx(np.clip(expected, 0.05, 0.9))
    assert LEARNED(np.ones(2), np.array([9e9, -9e9])).tolist() == [0.9, 0.05]


def test_below_the_lowest_cosine_nothing_is_known() -> None:
    found = LEARNED.of_query(np.array([0.8, 0.31, 0.3, 0.29]), np.eye(4, dtype=np.float32))
    assert [one is None for one in found] == [False, False, False, True]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    for kept in (KEPT, QueryProbabilities("m", "title", False, 3, "ä.parquet", None, None, LEARNED)):
        kept.write(tmp_path / "kept.json")
        assert QueryProbabilities.read(tmp_path / "kept.json") == kept
    assert KEPT.told == "1,200 simulated relistings (queries.parquet)"


def test_another_file_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    with pytest.raises(VectorError, match="cannot be read"):
        QueryProbabilities.read(file)
    KEPT.write(file)
    told = json.loads(file.read_text())
    damage: list[dict[str, object]] = [{"kind": "x"}, {"modalities": "x"}, {"probability": {}}, {"queries": None}]
    for change in damage:
        file.write_text(json.dumps(told | change))
        with pytest.raises(VectorError, match=r"holds no probabilities .* or is damaged; write it with"):
            QueryProbabilities.read(file)
    for text in ("[]", "{", ""):
        file.write_text(text)
        with pytest.raises(VectorError, match="holds no probabilities"):
            QueryProbabilities.read(file)
