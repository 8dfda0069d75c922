"""`benchmarks/exported.py`: each model has its column, each sight its line; only what fits the index searches it."""

import sys
from pathlib import Path

import pytest

from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import export_model
from item_embed.search.index import ProductIndex
from tests.embedding.export.made import trained
from tests.tiny import tiny_catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import exported  # noqa: E402


def test_both_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, model = tiny_catalog(tmp_path / "catalog"), trained(tmp_path / "model", "fused")
    export_model(model, tmp_path / "fp32")
    export_model(model, tmp_path / "int8", precision="int8")
    models = [tmp_path / "fp32", tmp_path / "int8"]
    exported.print_embedding(models, exported.products(catalog, 5), rounds=1)
    embedding = capsys.readouterr().out.splitlines()
    assert embedding[0] == "| seen: CPU ms of a product | fp32 | int8 |"
    assert [line.split(" | ")[0] for line in embedding[2:]] == ["| both", "| image", "| title"]

    ProductIndex.build(embed_catalog(Embedder(model), catalog), catalog, tmp_path / "index")
    exported.print_search(models, tmp_path / "index", catalog, rounds=1)
    search = capsys.readouterr().out.splitlines()
    assert search[0] == "| CPU s (s by the clock) | fp32: process, second query |"
    assert len(search) == 5
    for line in search[2:]:
        first, second = (float(took.split(" (")[0]) for took in line.split(" | ")[1].removesuffix(" |").split(", "))
        assert second < first  # what a process loads, it has


def test_the_least_is_of_each_and_all_take_turns() -> None:
    order: list[str] = []

    def work(name: str, *seconds: float) -> exported.Took:
        order.append(name)
        return exported.Took(seconds[order.count(name) - 1], 9 - order.count(name))

    least = exported.in_turns([lambda: work("a", 2, 3, 1), lambda: work("b", 5, 4, 6)], 3)
    assert order == ["a", "b"] * 3
    assert least == [(1, 6), (4, 7)]
