import json
from pathlib import Path

import numpy as np
import pytest

from item_embed.errors import VectorError
from item_embed.search.duplicates.decision import DECISION_FILE, Decision
from item_embed.search.duplicates.found import Found
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings, Variants
from tests.catalogs import Row
from tests.search.duplicates.made import groups, make_index

JUDGED = Settings(labels="product_id", precision=0.6)


def labelled_rows(products: int, listings: int) -> list[Row]:
    return [Row(f"id {n}", f"mug {n}", product_id=f"p{n // listings}") for n in range(products * listings)]


def test_what_is_read_is_what_was_learned(tmp_path: Path) -> None:
    index = make_index(tmp_path, groups(40, 3, spread=0.9), labelled_rows(40, 3))
    kept: list[Found] = []

    def keep(found: Found, _: Path) -> dict[str, object]:
        kept.append(found)
        return {}

    totals = find_duplicates(index, tmp_path / "out", JUDGED, further=keep)
    decision = Decision.read(tmp_path / "out")
    assert decision is not None
    assert (decision.fingerprint, decision.threshold) == ("model", totals["threshold"])
    fitted = kept[0].fitted
    assert fitted is not None
    cosine = np.linspace(0.8, 1, 1001).astype(np.float32)
    found = np.array([decision.probability.at(float(one)) for one in cosine[1:]], np.float64)
    np.testing.assert_allclose(found, fitted.probability(cosine)[1:], atol=1e-3)
    assert decision.probability.at(0.79) is None
    assert decision.probability.at(1.0000002) == decision.probability.at(1)
    at = float(np.float32(decision.threshold))
    assert decision.is_same(at)
    assert not decision.is_same(at - 1e-6)


def test_a_threshold_set_by_hand_has_no_probability(tmp_path: Path) -> None:
    index = make_index(tmp_path, groups(4, 2))
    find_duplicates(index, tmp_path / "out", Settings(threshold=0.9))
    decision = Decision.read(tmp_path / "out")
    assert decision is not None
    assert decision.threshold == 0.9
    assert decision.probability.at(1) is None


@pytest.mark.parametrize("variants", [None, Variants("colour", same=True), Variants("size", same=False)])
def test_the_rule_of_variants_is_kept(tmp_path: Path, variants: Variants | None) -> None:
    rows = [Row(f"id {n}", "mug", metadata={"colour": "red", "size": "S"}) for n in range(8)]
    index = make_index(tmp_path, groups(4, 2), rows)
    find_duplicates(index, tmp_path / "out", Settings(threshold=0.9, variants=variants))
    read = Decision.read(tmp_path / "out")
    assert read is not None
    assert read.variants == variants
    # Said once, in `duplicates.json`: folders of before have it there, and there alone.
    assert "variants" not in json.loads((tmp_path / "out" / DECISION_FILE).read_text())


def test_a_rule_of_variants_that_is_none_is_refused(tmp_path: Path) -> None:
    find_duplicates(make_index(tmp_path, groups(4, 2)), tmp_path / "out", Settings(threshold=0.9))
    (tmp_path / "out/duplicates.json").write_text('{"variants": {"column": "colour", "are": "alike"}}')
    with pytest.raises(VectorError, match=r"duplicates\.json is missing or damaged; run `item duplicates` again\.$"):
        Decision.read(tmp_path / "out")


def test_a_sample_has_decided_nothing(tmp_path: Path) -> None:
    find_duplicates(make_index(tmp_path, groups(4, 2)), tmp_path / "out", Settings(sample=3))
    assert Decision.read(tmp_path / "out") is None


def test_another_folder_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="holds no duplicates"):
        Decision.read(tmp_path)
    (tmp_path / "duplicates.json").write_text("{}")
    (tmp_path / "clusters.parquet").touch()
    with pytest.raises(VectorError, match="earlier version"):
        Decision.read(tmp_path)
    whole = {"fingerprint": "m", "threshold": 0.9, "cosine": [0.8, 1], "probability": [0, 1]}
    for change in (
        {"cosine": [1]},
        {"threshold": None},
        {"probability": "x"},
        {"cosine": 3, "probability": 4},
    ):
        (tmp_path / DECISION_FILE).write_text(json.dumps(whole | change))
        with pytest.raises(VectorError, match="is damaged"):
            Decision.read(tmp_path)
    (tmp_path / DECISION_FILE).write_text("[]")
    with pytest.raises(VectorError, match="is damaged"):
        Decision.read(tmp_path)
