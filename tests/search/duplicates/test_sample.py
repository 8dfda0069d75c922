import base64
import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.search.duplicates.judged import RowPairs
from item_embed.search.duplicates.sample import STRATA, draw_sample, write_sample
from tests.catalogs import Row, photo
from tests.search.duplicates.made import at, make_index


def pairs(cosine: Any) -> RowPairs:
    rows = np.arange(len(cosine))
    return RowPairs(rows, rows + len(cosine), np.asarray(cosine, np.float32))


@given(st.lists(st.floats(0.8, 1), min_size=1, max_size=200), st.integers(1, 80), st.integers(0, 5))
@settings(max_examples=50)
def test_every_stratum_gives_as_many_as_any_other_as_far_as_it_has_them(
    cosine: list[float], count: int, seed: int
) -> None:
    sample = draw_sample(pairs(cosine), count, 0.8, seed)
    assert len(sample) == len(set(sample.pairs.first.tolist())) == min(count, len(cosine))
    drawn = np.bincount(sample.stratum, minlength=STRATA)
    there = np.zeros(STRATA, int)
    there[sample.stratum] = sample.stratum_pairs
    for one in range(STRATA):
        for other in np.flatnonzero(drawn > drawn[one] + 1):
            assert drawn[one] == there[one] or there[one] == 0, other
    if count >= STRATA:  # all that have any have given some
        assert there.sum() == len(cosine)


def test_what_is_estimated_by_the_weights_is_true_on_average() -> None:
    generator = np.random.default_rng(0)
    cosine = 0.8 + 0.2 * generator.random(3000) ** 3  # most of them low
    same = generator.random(3000) < (cosine - 0.8) / 0.2
    estimates = []
    for seed in range(60):
        sample = draw_sample(pairs(cosine), 200, 0.8, seed)
        answers = np.bincount(sample.stratum, minlength=STRATA)
        weight = sample.stratum_pairs / answers[sample.stratum]
        estimates.append((weight * same[sample.pairs.first]).sum() / weight.sum())
    assert np.mean(estimates) == pytest.approx(same.mean(), abs=0.01)


def test_any_beginning_is_a_sample_of_all_strata() -> None:
    sample = draw_sample(pairs(np.linspace(0.8, 1, 5000)), 400, 0.8)
    assert np.bincount(sample.stratum[:100], minlength=STRATA).min() >= 3


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sample")
    nasty = "</script><script>alert('x')</script>"
    rows = [
        Row("a", nasty, photo((200, 9, 9)), category="Mugs", metadata={"colour": nasty, "empty": " ", "size": 3}),
        Row('b,"', None, photo((9, 9, 200))),
        Row("c", "mug"),
    ]
    index = make_index(path, at(0, 10, 15), rows)
    found = RowPairs(np.array([0, 1]), np.array([1, 2]), np.array([0.985, 0.996], np.float32))
    write_sample(path / "pairs.html", draw_sample(found, 10, 0.8), [row.id for row in rows], index)
    return (path / "pairs.html").read_text(encoding="utf8")


def test_the_page_holds_pairs_photos_and_strata_and_no_cosine(text: str) -> None:
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    shown = json.loads(data.group(1))
    asked = {tuple(side["id"] for side in pair["sides"]): pair for pair in shown["pairs"]}
    assert asked.keys() == {("a", 'b,"'), ('b,"', "c")}
    first = asked["a", 'b,"']["sides"][0]
    assert first["title"] == "</script><script>alert('x')</script>"
    assert [name for name, _ in first["facts"]] == ["category", "colour", "size"]
    assert first["photo"].startswith("data:image/jpeg;base64,")
    assert asked['b,"', "c"]["sides"][1]["photo"] == ""
    assert [pair["pairs"] for pair in shown["pairs"]] == [2, 2]  # both in the highest stratum but one
    assert "0.98" not in text  # a score would tell the reviewer what to think


def test_titles_cannot_become_markup_and_no_other_script_may_run(text: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    assert "alert" not in scripts[0]
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|url\(|@import|<link|innerHTML", text)
