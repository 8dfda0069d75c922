"""The benchmark's works are those that it says: each alone, both, and stages that sleep."""

import sys
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.photos.images import decode
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from tests.embedding.export.made import trained

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import embedding  # noqa: E402


@pytest.fixture(autouse=True)
def _few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_DISTINCT", 2)


def test_drawn_photos_are_as_large_as_the_table_says(tmp_path: Path) -> None:
    whole, prepared = (embedding.draw(tmp_path / str(prepared), 5, prepared) for prepared in (False, True))
    for catalog, size in ((whole, (730, 550)), (prepared, (340, 256))):
        assert [decode(photo).size for photo in catalog.iter_photos() if photo] == [size] * 5
    assert len(embedding.draw(tmp_path / "True", 99, prepared=True)) == 5  # drawn before


def test_each_stage_is_timed_alone_and_beside_the_other(tmp_path: Path) -> None:
    catalog = embedding.draw(tmp_path / "catalog", 40, prepared=True)
    embedder = Embedder(trained(tmp_path / "model"))
    stages = embedding.Stages(embedder, catalog, workers=0, batch_size=8)
    decoding, encoding, both = stages.decoding(), stages.encoding(), stages.both()
    assert min(decoding.rows, encoding.rows, both.rows) > 0
    assert max(decoding.own, encoding.own) < both.own  # one process does both
    columns = stages.table(rounds=1)
    assert len(columns) == 5
    assert columns[-1].endswith(" %")
    embedded = embed_catalog(embedder, catalog)
    assert np.linalg.norm(embedded.vectors, axis=1).min() > 0.99  # no row of the catalogue is empty


def test_progress_is_timed_from_a_quarter_of_the_rows_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([7.0, 9.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    pace = embedding.Pace()
    for done in (0, 10, 24, 25, 100):
        pace(done, 100)
    assert pace.rate.rows == 75 / 2


def test_the_slope_of_what_grows_with_the_rows_is_one() -> None:
    assert embedding.slope([1024, 4096, 16384], [2, 8, 32]) == pytest.approx(1)
    assert embedding.slope([10, 100], [1, 100]) == pytest.approx(2)


@pytest.mark.slow  # it starts processes, and sleeps
def test_sleeping_stages_and_whole_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = embedding.draw(tmp_path / "catalog", 200, prepared=True)
    embedding.print_sleeping(catalog)
    assert capsys.readouterr().out.count(" % |") == 3
