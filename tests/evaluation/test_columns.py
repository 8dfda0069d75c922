from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.columns import has_column, joined, told_apart, values_of
from item_embed.evaluation.queries import catalog_queries, given_queries
from tests.catalogs import Row, write_catalog
from tests.evaluation.relistings import query, write_queries


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    said: list[dict[str, object]] = [
        {"usage": "Sports", "year": 2012.0},
        {"usage": " "},
        {},
        {"usage": None, "year": 9},
    ]
    categories = ["A > X", "A > Y", None, "B"]
    rows = [
        Row(f"r{i}", f"thing {i}", category=categories[i % 4], product_id=f"p{i // 4}", metadata=said[i % 4])
        for i in range(8)
    ]
    return write_catalog(tmp_path / "catalog", rows)


def test_queries_are_told_apart_by_columns_of_their_rows(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    assert told_apart(queries, catalog, "category").columns["category"] == ["A", "A", "(none)", "B"] * 2
    assert told_apart(queries, catalog, "usage").columns["usage"] == ["Sports", "(none)", "(none)", "(none)"] * 2
    assert told_apart(queries, catalog, "year").columns["year"] == ["2012", "(none)", "(none)", "9"] * 2
    assert queries.columns == {}


def test_a_column_of_the_queries_comes_first(tmp_path: Path, catalog: Catalog) -> None:
    given_ones = [query("r1", title="x", product_id="p0", usage="mine"), query("r0", title="y", product_id="p0")]
    queries = given_queries(write_queries(tmp_path / "queries.parquet", given_ones), catalog)
    assert told_apart(queries, catalog, "usage").columns["usage"] == ["mine", ""]
    assert told_apart(queries, catalog, "year").columns["year"] == ["(none)", "2012"]


def test_a_column_that_is_not_there_is_one_sentence(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="no column 'colour' for --by; there is kind, category, usage, year"):
        values_of(catalog, "colour", np.arange(2), ["kind"])
    assert has_column(catalog, "category")
    assert has_column(catalog, "year")
    assert not has_column(catalog, "colour")


@given(st.lists(st.sampled_from("abcdefg")), st.integers(1, 4))
def test_the_rarest_values_are_joined(values: list[str], most: int) -> None:
    shown = joined(values, most)
    assert len(shown) == len(values)
    counts = Counter(values)
    if len(counts) <= most + 1:
        assert shown == values
        return
    [others] = {after for before, after in zip(values, shown, strict=True) if after != before}
    assert others == f"others ({len(counts) - most} values)"
    kept = [value for value in counts if value in shown]
    assert len(kept) == most
    rarest_kept = min(counts[value] for value in kept)
    assert all(counts[value] <= rarest_kept for value in counts if value not in shown)
