from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding import bulk
from item_embed.embedding.bulk import embed_catalog, embed_parts
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import DummyEmbedder, dummy

RED = photo((200, 20, 20))
BLUE = photo((20, 20, 200))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [
        Row("a", "red mug", RED),
        Row("b", "blue mug"),
        Row("c", None, BLUE),
        Row("d", "blue mug", BLUE),
        Row("e", "red mug", None),
    ]
    return write_catalog(tmp_path / "catalog", rows, files=2)


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
@pytest.mark.parametrize("part", [1, 2, 3, 100])
def test_every_row_gets_its_own_vector(
    catalog: Catalog, modalities: Modalities, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SHARD_ROWS", part)
    vectors = embed_catalog(dummy(), catalog, modalities)
    assert vectors.ids == ["a", "b", "c", "d", "e"]
    assert vectors.modalities == modalities
    for row in range(len(catalog)):
        image = catalog.photo(row) if modalities != "title" else None
        title = catalog.titles[row] if modalities != "image" else None
        if image or title:
            expected = DummyEmbedder().embed([image], [title])[0]
            np.testing.assert_allclose(vectors.vectors[row], expected, rtol=1e-6)
        else:
            assert not vectors.vectors[row].any()


def test_only_the_rows_asked_for_in_their_order(catalog: Catalog) -> None:
    chosen = embed_catalog(dummy(), catalog, rows=np.array([3, 0]))
    everything = embed_catalog(dummy(), catalog)
    assert chosen.ids == ["d", "a"]
    np.testing.assert_array_equal(chosen.vectors, everything.vectors[[3, 0]])


def test_the_model_is_named(catalog: Catalog, tmp_path: Path) -> None:
    vectors = embed_catalog(dummy(tmp_path / "run" / "model", "abc"), catalog)
    assert vectors.fingerprint == "abc"
    assert vectors.model == str(tmp_path / "run" / "model")


def test_rows_without_the_modality_cost_no_pass(catalog: Catalog) -> None:
    embedder = DummyEmbedder()
    embed_catalog(cast("Any", embedder), catalog, "image")
    assert embedder.sizes == [3]


def test_progress_never_falls_and_ends_at_the_total(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SHARD_ROWS", 2)
    told: list[tuple[int, int | None]] = []
    embed_catalog(dummy(), catalog, "image", on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (5, 5)


def test_unknown_modalities_are_refused(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="'sound'"):
        embed_catalog(dummy(), catalog, cast("Any", "sound"))


@pytest.mark.parametrize("part", [1, 3, 100])
def test_parts_are_the_whole(catalog: Catalog, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embed_catalog(dummy(), catalog, "image")
    monkeypatch.setattr(bulk, "SHARD_ROWS", part)
    parts = list(embed_parts(dummy(), catalog, "image"))
    assert max(map(len, parts)) <= part
    assert [key for one in parts for key in one.ids] == whole.ids
    np.testing.assert_array_equal(np.concatenate([one.vectors for one in parts]), whole.vectors)
    assert {(one.fingerprint, one.model, one.modalities) for one in parts} == {("dummy", whole.model, "image")}


def test_of_no_rows_comes_one_empty_part(catalog: Catalog) -> None:
    (part,) = embed_parts(dummy(), catalog, "title", np.zeros(0, np.int64))
    assert part.vectors.shape == (0, 16)
    assert part.modalities == "title"


def test_titles_of_which_cleaning_leaves_nothing_are_no_titles(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "odd", [Row("a", "&amp;"), Row("b", "mug"), Row("c", "!!")])
    assert embed_catalog(dummy(), catalog).vectors.any(axis=1).tolist() == [False, True, False]
