"""`benchmarks/additions.py`: each form of a model's vectors, against `Embedder` with the whitening it stands for."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from tests.evaluation.relistings import query, write_queries
from tests.tiny import tiny_catalog
from tests.training.runs import train

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
from additions import FORMS, LINES, _once, by_sight, keep_minutes, measure, print_table, seen  # noqa: E402


@pytest.mark.parametrize("late_fusion", [False, True])
def test_a_form_is_what_the_model_with_that_whitening_gives(tmp_path: Path, late_fusion: bool) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    rows = [row for row in range(len(catalog)) if catalog.has_photo[row] and catalog.titles[row]][:8]
    run = train(catalog, tmp_path / "run", "whitening.power=0.75", f"whitening.late_fusion={str(late_fusion).lower()}")
    trained = TorchBackend.from_pretrained(run.model, "cpu")
    embedder = Embedder(trained)
    photos, titles = [catalog.photo(row) for row in rows], [catalog.titles[row] for row in rows]
    there = np.ones(len(rows), np.bool_)
    vectors = by_sight(trained, photos.__getitem__, titles)
    for sight, expected in (
        ("both", embedder.embed(photos, titles)),
        ("image", embedder.embed(photos)),
        ("title", embedder.embed(titles=titles)),
    ):
        np.testing.assert_allclose(seen(vectors, there, titles, sight, trained.whitening), expected, atol=1e-5)
    whole = Embedder(trained.unwhitened()).embed(photos, titles)
    np.testing.assert_allclose(seen(vectors, there, titles, "both", None), whole, atol=1e-5)


def test_the_last_line_is_search_itself_and_the_first_the_five_tasks() -> None:
    search = RunConfig.load("search", [])
    trained = {name: RunConfig.load("search", settings) for name, settings in LINES.items()}
    assert trained["agreement-convolutional"] == search
    assert trained["five"].objectives.weights == RunConfig.load("paper", []).objectives.weights
    assert {name for name, run in trained.items() if run.model.patch_embedding == "linear"} == {
        "five",
        "five-agreement",
        "agreement",
    }


def test_the_table_prints_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, value in enumerate((0.25, 0.5)):
        found = {
            form: {sight: {"hit_at_1": value, "macro_recall_at_10": value / 2} for sight in ("both", "image", "title")}
            for form in FORMS
        }
        (tmp_path / str(seed) / "five-10").mkdir(parents=True)
        (tmp_path / str(seed) / "five-10" / "found.json").write_text(
            json.dumps({"samples": 1000, "cpu_minutes": dict.fromkeys(FORMS, 1.5) | {"fused": 1.75}, "found": found})
        )
    print_table(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(FORMS)
    recall = "0.188 (0.125-0.250)"
    figures = f"0.375 (0.250-0.500) | {recall} | {recall} | {recall}"
    assert lines[3] == f"| five | whitened | 1,000 | 1.50 | {figures} | 2 |"
    assert lines[4].startswith("| five | fused | 1,000 | 1.75 | ")


def test_a_folder_keeps_its_minutes_and_what_embedding_took(tmp_path: Path) -> None:
    keep_minutes(tmp_path / "out", 5)
    keep_minutes(tmp_path / "out", 5)
    with pytest.raises(SystemExit, match=r"was begun with --minutes 5: go on with those, or choose another --out"):
        keep_minutes(tmp_path / "out", 10)
    file = tmp_path / "out" / "listed.npy"
    assert _once(file, lambda: np.ones(3, np.float32)).tolist() == [1, 1, 1]
    assert _once(file, lambda: np.zeros(3, np.float32)).tolist() == [1, 1, 1]
    assert json.loads(file.with_suffix(".json").read_text())["seconds"] >= 0
    file.with_suffix(".json").unlink()  # of a version that did not keep it
    assert _once(file, lambda: np.zeros(3, np.float32)).tolist() == [0, 0, 0]


def test_each_form_is_measured_and_what_it_took_is_kept(tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    asked = [query(key, title=catalog.titles[row], product_id="p") for row, key in enumerate(catalog.ids[:3])]
    relist = write_queries(tmp_path / "relist.parquet", asked)
    trained = TorchBackend.from_pretrained(train(catalog, tmp_path / "run").model, "cpu")
    found, seconds = measure(trained, catalog, relist, tmp_path)
    assert tuple(found) == tuple(seconds) == FORMS
    assert all(figures["both"].keys() == {"hit_at_1", "macro_recall_at_10"} for figures in found.values())
    embedding = json.loads((tmp_path / "listed.json").read_text())["seconds"]
    assert seconds["as trained"] == 0
    assert all(seconds[form] > 0 for form in FORMS[1:])
    assert embedding > 0
