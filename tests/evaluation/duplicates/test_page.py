import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from item_embed.evaluation.duplicates.page import judge_and_report
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings, Variants
from tests.catalogs import Row, photo
from tests.search.duplicates.made import groups, make_index
from tests.search.test_page import Elements

NASTY = "<script>alert('x')</script>"


def report(path: Path, settings: Settings, labels: bool = True) -> tuple[str, dict[str, Any]]:
    vectors = np.concatenate([groups(30, 3), np.zeros((1, 16), np.float32)])
    rows = [
        Row(
            f"id {n}",
            f"mug {n // 3} {NASTY}",
            photo((n, 9, 9)) if n % 2 else None,
            product_id=f"p{n // 3}" if labels else None,
            metadata={"colour": n % 2},
        )
        for n in range(len(vectors))
    ]
    totals = find_duplicates(make_index(path, vectors, rows), path / "out", settings, further=judge_and_report)
    return (path / "out" / "report.html").read_text(encoding="utf8"), totals


@pytest.mark.parametrize("labels", [True, False])
def test_the_page_says_what_was_found_without_scripts(tmp_path: Path, labels: bool) -> None:
    settings = Settings(labels="product_id", precision=0.8) if labels else Settings(threshold=0.95)
    text, totals = report(tmp_path, settings, labels)
    elements = Elements(re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL))
    assert not elements.all("script")
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|@import", text)
    assert "91 listings are 31 products: 30 clusters of several listings, 60 duplicates." in text
    for shown in (
        "of those exact search finds for 90 vectors",
        "180 of 180",
        "The largest",
        "The least certain",
        "Master",
    ):
        assert shown in text
    assert "the model saw nothing; each is a cluster of its own" in text
    assert ("Precision by threshold" in text) == ("B-cubed averages" in text) == ("confidence" in text) == labels
    assert ("quality" in totals) == labels
    if labels:
        assert totals["quality"]["pair_recall"]["value"] == 1
    assert len(elements.all("img")) > 10


def test_variants_are_told(tmp_path: Path) -> None:
    text, _ = report(tmp_path, Settings(threshold=0.95, variants=Variants("colour", same=False)))
    assert "Listings that differ in colour are never one product, as asked." in text


def test_an_index_without_duplicates_has_a_page_too(tmp_path: Path) -> None:
    index = make_index(tmp_path, groups(5, 1))
    find_duplicates(index, tmp_path / "out", Settings(threshold=0.99), further=judge_and_report)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf8")
    assert "5 listings are 5 products: 0 clusters of several listings, 0 duplicates." in text
