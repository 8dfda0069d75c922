"""`benchmarks/additions.py`: each form of a model's vectors, against `Embedder` with the whitening it stands for."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from tests.tiny import tiny_catalog
from tests.training.runs import train

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
from additions import FORMS, LINES, by_sight, print_table, seen  # noqa: E402


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
            json.dumps({"samples": 1000, "seconds": 90, "found": found})
        )
    print_table(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(FORMS)
    recall = "0.188 (0.125-0.250)"
    figures = f"0.375 (0.250-0.500) | {recall} | {recall} | {recall}"
    assert lines[3] == f"| five | whitened | 1,000 | 1.5 | {figures} | 2 |"
