"""`item evaluate --probabilities`."""

from pathlib import Path
from typing import Any

import pytest

from item_embed.catalog.store import Catalog
from item_embed.search.query_product import QueryProbabilities
from tests.catalogs import Row, photo, write_catalog
from tests.cli.evaluating import refused, run, shown
from tests.embedders import replace_embedder
from tests.evaluation.relistings import query, write_queries


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder; the dummy's fingerprint is the folder's name."""
    replace_embedder(monkeypatch)
    (tmp_path / "run" / "model").mkdir(parents=True)
    return tmp_path / "run" / "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [Row(f"r{n}", f"mug {n}", photo((10 * n, 200, 20)), product_id=f"p{n}") for n in range(16)]
    return write_catalog(tmp_path / "catalog", rows)


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    """Half of them are the listings themselves, which the dummy finds."""
    given = [
        query(f"r{n}", title=f"mug {n}" if n % 2 else f"cup {n}", image=photo((10 * n, 200, 20))) for n in range(12)
    ]
    return write_queries(tmp_path / "queries.parquet", given)


def test_what_was_learned_is_written_and_told(tmp_path: Path, model: Path, catalog: Catalog, queries: Path) -> None:
    file = tmp_path / "query_product.json"
    told: Any = shown(model, catalog.path, "--queries", queries, "--probabilities", file)["probabilities"]
    assert list(told) == ["file", "queries", "hits", "calibration_error", "first_hit_error", "likely_first_hits"]
    assert (told["file"], told["queries"], told["hits"]) == (str(file), 12, 120)
    kept = QueryProbabilities.read(file)
    assert (kept.fingerprint, kept.modalities, kept.simulated, kept.source) == ("model", "both", False, queries.name)
    assert kept.calibration_error == told["calibration_error"]
    assert "probabilities" not in shown(model, catalog.path, "--queries", queries)
    result = run(model, catalog.path, "--queries", queries, "--probabilities", file)  # its own file is replaced
    assert result.exit_code == 0, result.output
    said = f"calibration error is {kept.calibration_error:.3f}, of first hits {kept.first_hit_error:.3f}."
    assert result.stdout.splitlines()[-1].endswith(said)


def test_simulated_queries_say_so(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    file = tmp_path / "simulated.json"
    result = run(model, catalog.path, "--relist", 4, "--seed", 3, "--probabilities", file)
    assert result.exit_code == 0, result.output
    assert "there are too few products to say how good they are" in result.stdout
    kept = QueryProbabilities.read(file)
    assert (kept.simulated, kept.source, kept.first_hit_error) == (True, "--relist 4 --split all --seed 3", None)


def test_what_teaches_nothing_of_queries_is_refused(
    tmp_path: Path, model: Path, catalog: Catalog, queries: Path
) -> None:
    file = tmp_path / "query_product.json"
    learning = ["--probabilities", file]
    assert "give --queries FILE, or --relist N" in refused(model, catalog.path, *learning)
    given = ["--queries", queries, *learning]
    assert "leave --mask-shared-words out" in refused(model, catalog.path, *given, "--mask-shared-words", "all")
    assert "no meaning for a simple method" in refused("tfidf", catalog.path, *given)
    assert "no meaning for --task dominance" in refused(model, catalog.path, *given, "--task", "dominance")
    assert not file.exists()
    file.write_text("mine")
    assert "exists and holds something else" in refused(model, catalog.path, *given)
    assert file.read_text() == "mine"
