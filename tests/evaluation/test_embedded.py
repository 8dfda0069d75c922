from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.vectors import Vectors, write_vectors
from item_embed.errors import VectorError
from item_embed.evaluation import embedded
from item_embed.evaluation.embedded import embed_queries, read_catalog_vectors
from item_embed.evaluation.queries import QuerySet, given_queries
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import dummy
from tests.evaluation.relistings import query, write_queries

RED, BLUE = photo((200, 20, 20)), photo((20, 20, 200))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return write_catalog(tmp_path / "catalog", [Row("a", "red mug", RED), Row("b", "plate"), Row("c", None, BLUE)])


@pytest.fixture
def queries(tmp_path: Path, catalog: Catalog) -> QuerySet:
    given = [query("a", title="red mug", image=RED), query("b", title="plate"), query("c", image=BLUE), query("c")]
    return given_queries(write_queries(tmp_path / "queries.parquet", given), catalog)


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
def test_queries_are_embedded_as_rows_are(
    catalog: Catalog, queries: QuerySet, modalities: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = embed_catalog(dummy(), catalog, modalities).vectors  # type: ignore[arg-type]
    expected = np.concatenate([rows, np.zeros((1, rows.shape[1]), np.float32)])  # the last query has nothing
    for part in (2048, 3):
        monkeypatch.setattr(embedded, "_PART", part)
        assert (embed_queries(dummy(), queries, modalities) == expected).all()  # type: ignore[arg-type]


def test_vectors_of_a_file_are_taken(tmp_path: Path, catalog: Catalog) -> None:
    made = embed_catalog(dummy(), catalog)
    write_vectors(tmp_path / "v.parquet", made)
    assert (read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy()) == made.vectors).all()


def test_vectors_of_another_model_are_refused(tmp_path: Path, catalog: Catalog) -> None:
    write_vectors(tmp_path / "v.parquet", embed_catalog(dummy(fingerprint="other"), catalog))
    with pytest.raises(VectorError, match=r"another model \(other, "):
        read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy())


def test_vectors_of_another_catalogue_are_refused(tmp_path: Path, catalog: Catalog) -> None:
    made = embed_catalog(dummy(), catalog)
    write_vectors(tmp_path / "v.parquet", Vectors(made.ids[::-1], made.vectors, made.fingerprint, made.model))
    with pytest.raises(VectorError, match="row by row"):
        read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy())


def test_vectors_made_with_other_modalities_are_refused(tmp_path: Path, catalog: Catalog) -> None:
    write_vectors(tmp_path / "v.parquet", embed_catalog(dummy(), catalog, "title"))
    assert len(read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy(), "title")) == 3
    for modalities in ("both", "image"):
        with pytest.raises(VectorError, match=f"--modalities title, not {modalities}"):
            read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy(), modalities)


def test_modalities_are_told_apart_where_no_photo_tells_them(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "titles", [Row("a", "red mug"), Row("b", "plate")])
    write_vectors(tmp_path / "v.parquet", embed_catalog(dummy(), catalog, "title"))
    with pytest.raises(VectorError, match="--modalities title, not both"):
        read_catalog_vectors(tmp_path / "v.parquet", catalog, dummy(), "both")
