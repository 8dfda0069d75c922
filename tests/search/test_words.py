from pathlib import Path

import numpy as np
import pytest

from item_embed.embedding.vectors import Vectors
from item_embed.search import words as words_
from item_embed.search.index import ProductIndex
from item_embed.search.words import TitleWords
from tests.catalogs import Row, write_catalog
from tests.search.made import embedded, unit

TITLES = ["Würfel & mug", "green cup", 'a "quoted" mug-tree', None, "green cup", "cup, cup, cup", "a mug of Mug & Co"]


@pytest.mark.parametrize("part", [2, 100])
def test_the_ranking_is_that_of_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(words_, "_PART", part)
    ids = [f"{n}" for n in range(len(TITLES))]
    catalog = write_catalog(tmp_path / "catalog", [Row(*pair) for pair in zip(ids, TITLES, strict=True)])
    vectors = Vectors(ids, unit(np.random.default_rng(0), len(ids)), "model", "run/model")
    with ProductIndex.build(vectors, catalog, tmp_path / "index") as index, TitleWords(ids, catalog.titles) as words:
        store, _ = embedded(index)
        for title in ("a green mug", "wurfel", "cup", '"quoted" OR', "", "nothing of that", "\0cup"):
            for limit in (1, 3, 9):
                expected = store.shown(rows) if (rows := store.rows_by_title(title, limit, None).tolist()) else {}
                assert [ids[row] for row in words.rows(title, limit)] == [expected[row]["id"] for row in rows]
        assert len(words.rows("cup", 9)) == 3


def test_nothing_is_left_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TitleWords(["a"], ["mug"]) as words:
        assert words.rows("mug", 1).tolist() == [0]
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
