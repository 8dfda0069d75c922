import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import write_vectors
from item_embed.errors import VectorError
from item_embed.evaluation.baselines import METHODS, simple_methods
from item_embed.evaluation.embedded import embed_queries
from item_embed.evaluation.queries import SIMULATED, QuerySet, catalog_queries, given_queries
from item_embed.evaluation.run import default_split, evaluate_model, evaluate_simple, training_note, training_remarks
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product, evaluate_scorer
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import tie_keys
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import dummy
from tests.evaluation.relistings import query, write_queries

COLOURS = [(200, 20, 20), (20, 160, 40), (30, 40, 200), (210, 180, 10)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [
        Row(f"{p}{i}", f"listing {i} of {p}", photo(COLOURS[n]), product_id=p, split="test" if p == "d" else "train")
        for n, p in enumerate("abcd")
        for i in range(2)
    ]
    return write_catalog(tmp_path / "catalog", rows)


@pytest.fixture
def given(tmp_path: Path, catalog: Catalog) -> QuerySet:
    queries = [query("a0", title="listing 1 of a"), query("d1", title="no words", image=photo(COLOURS[3]))]
    return given_queries(write_queries(tmp_path / "q.parquet", queries), catalog)


def same(one: SameProductResult, other: SameProductResult) -> bool:
    rankings = (one.ranking.rows == other.ranking.rows).all() and (one.ranking.scores == other.ranking.scores).all()
    return bool(rankings) and (one.method, one.modalities) == (other.method, other.modalities)


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
def test_a_model_is_searched_by_the_vectors_of_rows_and_queries(
    catalog: Catalog, given: QuerySet, modalities: Modalities
) -> None:
    rows, ties = embed_catalog(dummy(), catalog, modalities).vectors, tie_keys(catalog.ids)
    listings = catalog_queries(catalog)
    for queries, asked in ((listings, rows[listings.rows]), (given, embed_queries(dummy(), given, modalities))):
        expected = evaluate_same_product(rows, asked, queries, ties, modalities=modalities)
        [found] = evaluate_model(dummy(), catalog, queries, modalities)
        assert same(found, expected)


def test_vectors_save_their_making(tmp_path: Path, catalog: Catalog) -> None:
    made = embed_catalog(dummy(), catalog)
    other = made.vectors[::-1]
    write_vectors(tmp_path / "v.parquet", type(made)(made.ids, other, made.fingerprint, made.model))
    queries = catalog_queries(catalog)
    expected = evaluate_same_product(other, other[queries.rows], queries, tie_keys(catalog.ids))
    for vectors in (tmp_path / "v.parquet", other):
        [found] = evaluate_model(dummy(), catalog, queries, vectors=vectors)
        assert same(found, expected)
    with pytest.raises(VectorError, match="--modalities both, not image"):
        evaluate_model(dummy(), catalog, queries, "image", vectors=tmp_path / "v.parquet")


def test_simple_methods_come_in_the_order_asked_for_and_tell_of_each(catalog: Catalog, given: QuerySet) -> None:
    told: list[str] = []

    @contextmanager
    def stage(label: str) -> Iterator[OnProgress]:
        told.append(label)
        yield silent

    results = evaluate_simple(["simple", "tfidf"], catalog, given, stage)
    assert told == ["describing photos", "searching by simple", "searching by tfidf"]
    scorers = simple_methods(catalog, given, ["tfidf", "simple"])
    for name, result in zip(["simple", "tfidf"], results, strict=True):
        seen = METHODS[name].modalities
        expected = evaluate_scorer(scorers[name], given, tie_keys(catalog.ids), method=name, modalities=seen)
        assert same(result, expected)
    assert np.isfinite(results[0].ranking.scores[:, 0]).all()


def provenance(folder: Path, **known: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps(known))
    return folder


def test_the_split_is_test_where_training_knew_the_catalogue(tmp_path: Path, catalog: Catalog) -> None:
    assert default_split(tmp_path / "model", catalog) == "all"
    assert default_split(provenance(tmp_path / "model", catalog_fingerprint="another"), catalog) == "all"
    assert default_split(provenance(tmp_path / "model", catalog_fingerprint=catalog.fingerprint), catalog) == "test"
    here = {"catalog_fingerprint": catalog.fingerprint, "excluded_rows": 0}
    continued = {"catalog_fingerprint": "another", "from": {"catalog_fingerprint": "a third", "from": here}}
    assert default_split(provenance(tmp_path / "continued", **continued), catalog) == "test"


def test_queries_of_rows_trained_on_are_remarked(tmp_path: Path, catalog: Catalog, given: QuerySet) -> None:
    known = {"catalog_fingerprint": catalog.fingerprint, "excluded_rows": 0}
    model = provenance(tmp_path / "model", **known)
    [remark] = training_remarks(model, catalog, given)
    assert remark.startswith("1 of 2 queries belongs to rows that the model was trained on")
    assert "--exclude-groups" in remark
    [remark] = training_remarks(model, catalog, catalog_queries(catalog, "all"))
    assert remark.startswith("6 of 8 queries")
    assert "--split test" in remark
    assert training_remarks(model, catalog, catalog_queries(catalog, "test")) == ()


def test_a_model_that_practised_relistings_is_remarked(tmp_path: Path, catalog: Catalog, given: QuerySet) -> None:
    def trained(name: str, weight: float) -> Path:
        config = {"objectives": {"weights": {"agreement": weight}}}
        return provenance(tmp_path / name, catalog_fingerprint="another", config=config)

    simulated = replace(given, remarks=(SIMULATED,))
    [remark] = training_remarks(trained("practised", 1.0), catalog, simulated)
    assert "agreement" in remark
    assert training_remarks(trained("practised", 1.0), catalog, given) == ()
    assert training_remarks(trained("not", 0.0), catalog, simulated) == ()


def test_there_is_no_remark_on_another_catalogue_or_where_rows_were_left_out(
    tmp_path: Path, catalog: Catalog, given: QuerySet
) -> None:
    for known in (
        {"catalog_fingerprint": "another", "excluded_rows": 0},
        {"catalog_fingerprint": catalog.fingerprint, "excluded_rows": 3},
    ):
        assert training_remarks(provenance(tmp_path / "model", **known), catalog, given) == ()
    assert training_remarks(tmp_path / "none", catalog, given) == ()


def test_what_a_model_was_trained_on_is_told_beside_methods_that_learn_here(tmp_path: Path, catalog: Catalog) -> None:
    train = catalog.rows("train")
    kept = train[2:]

    def note(rows: NDArray[np.int64], learnt: NDArray[np.int64], fingerprint: str = catalog.fingerprint) -> str:
        known = {
            "catalog_fingerprint": fingerprint,
            "excluded_rows": len(train) - len(learnt),
            "rows_sha256": hashlib.sha256(learnt.tobytes()).hexdigest(),
        }
        return training_note(provenance(tmp_path / "model", **known), catalog, rows)

    assert note(kept, kept) == "trained on the rows that the other methods learn from"
    assert note(train, train).startswith("trained on the whole training split; queries that come from it would flatter")
    assert note(kept, train).startswith("trained on 2 rows of the queries' groups, which no other method learns from")
    assert note(kept, train[:-1]).startswith("trained on this catalogue without 1 row, not those of these queries")
    for leak in (note(kept, train), note(kept, train[:-1])):
        assert "the figures may flatter it" in leak
        assert "item pretrain --exclude-groups" in leak
    assert note(kept, train, "another").startswith("trained on another catalogue, or on this one as it was prepared")
    whitened = {"whitened": {"catalog_fingerprint": catalog.fingerprint, "excluded_rows": 0}}
    elsewhere = provenance(tmp_path / "model", catalog_fingerprint="another", **whitened)
    assert training_note(elsewhere, catalog, kept).startswith("trained on or whitened by 2 rows of the queries' groups")
    assert training_note(tmp_path / "none", catalog, kept) == ""
