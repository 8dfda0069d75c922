"""`benchmarks/serving.py`: every kind of request is answered, and both rates are of the same products."""

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
import serving  # noqa: E402


@pytest.mark.slow
def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, model = tiny_catalog(tmp_path / "catalog"), trained(tmp_path / "model", "fused")
    export_model(model, tmp_path / "served")
    ProductIndex.build(embed_catalog(Embedder(model), catalog), catalog, tmp_path / "index")
    options = ["--catalog", tmp_path / "catalog", "--model", tmp_path / "served", "--requests", 128, "--rounds", 2]
    monkeypatch.setattr(sys, "argv", ["serving.py", *map(str, [tmp_path / "index", *options])])
    serving.main()
    first, head, _, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("encoder alone: ")
    assert head.count("|") == 8
    asked = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in lines}
    assert asked.keys() == {"search", "embed, 1 product", "embed, 4 products"}
    assert [cells[3] for cells in asked.values()] == ["0 of 256", "0 of 256", "0 of 64"]
    for cells in asked.values():
        middle, last = map(int, cells[4].split(", "))
        assert 0 <= middle <= last


def test_requests_are_of_one_product_or_of_few() -> None:
    photos, titles = [b"photo"] * 10, [f"mug {number}" for number in range(10)]
    few = list(serving.several(photos, titles))
    assert [len(one) for one in few] == [4, 4, 2]
    assert [title for one in few for _, title in one] == titles
    asked = serving.searching(b"\xff\xd8", "grün")
    head, _, body = asked.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b'name="title"\r\n\r\ngr\xc3\xbcn\r\n' in body
