"""`item explain` on a trained model, by ids of an index or a catalogue, and by photos and titles."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.catalog.store import Catalog
from item_embed.cli import explain
from item_embed.cli.main import guarded
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.search.index import ProductIndex
from tests.tiny import pattern, tiny_catalog
from tests.training.runs import train


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(explain.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(*arguments: object) -> str:
    """What the command says when it refuses: one line, no traceback."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "unexpected" not in line
    return line


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue, a model, an index of whole products and one of titles."""
    path = tmp_path_factory.mktemp("shop")
    catalog = tiny_catalog(path / "catalog")
    trained = train(catalog, path / "run", "whitening.power=0.75", "whitening.late_fusion=true", "training.steps=3")
    embedder = Embedder.from_pretrained(trained.model, "cpu")
    ProductIndex.build(embed_catalog(embedder, catalog), catalog, path / "index")
    ProductIndex.build(embed_catalog(embedder, catalog, "title"), catalog, path / "titles")
    (path / "photo.png").write_bytes(pattern(3))
    return path


@pytest.fixture
def model(shop: Path) -> Path:
    return shop / "run/model"


def test_two_listings_of_an_index(shop: Path, model: Path, tmp_path: Path) -> None:
    result = run("item 0", "item 1", "--index", shop / "index", "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    catalog, embedder = Catalog(shop / "catalog"), Embedder.from_pretrained(model, "cpu")
    first, second = embedder.embed([catalog.photo(0), catalog.photo(1)], [catalog.titles[0], catalog.titles[1]])
    assert f"Score {first @ second:.3f}, by integrated gradients, which add up to it: A words " in result.stdout
    assert result.stdout.rstrip().endswith(f"Page in {tmp_path / 'page.html'}.")
    rows = [line.split() for line in result.stdout.splitlines()]
    words = {row[1]: float(row[-1]) for row in rows if len(row) == 3 and row[0] == "A"}
    assert words.keys() == set((catalog.titles[0] or "").split())
    assert sum(row[1:3] == ["patch", "in"] for row in rows) == 6
    page = (tmp_path / "page.html").read_text(encoding="utf8")
    assert "item 0" in page
    assert page.count("<svg") == 2


def test_ids_of_a_catalogue_are_explained_alike(shop: Path, model: Path) -> None:
    by_index = told("item 0", "item 1", "--index", shop / "index")
    by_catalog = told("item 0", "item 1", "--catalog", shop / "catalog", "--model", model)
    by_url = told("item 0", "item 1", "--catalog", f"file://{shop / 'catalog'}", "--model", model)
    assert by_index == by_catalog == by_url
    assert by_index["method"] == "gradients"
    assert [by_index[side]["id"] for side in "ab"] == ["item 0", "item 1"]


def test_a_model_that_moved_is_told_as_in_a_search(shop: Path, tmp_path: Path) -> None:
    said = refused("item 0", "item 1", "--index", shop / "index", "--model", tmp_path / "gone")
    gone = tmp_path / "gone"
    assert f"the model that made the vectors of {shop / 'index'} is not at {gone}; check --model." in said


def test_a_photo_and_a_title_against_a_listing(shop: Path, model: Path) -> None:
    given = ["--image-a", shop / "photo.png", "--title-a", "Red mug"]
    found = told("item 0", *given, "--index", shop / "index")
    assert found["a"]["id"] is None
    assert [word["text"] for word in found["a"]["words"]] == ["Red", "mug"]
    assert found["b"]["id"] == "item 0"
    both = told(*given, "--title-b", "blue shoe", "--model", model, "--method", "occlusion")
    assert both["method"] == "occlusion"
    assert both["b"]["patches"] is None


def test_an_index_of_titles_is_explained_by_titles(shop: Path) -> None:
    found = told("item 0", "item 1", "--index", shop / "titles")
    assert found["a"]["patches"] is None
    assert found["a"]["words"]
    said = refused("item 0", "--image-a", shop / "photo.png", "--index", shop / "titles")
    assert "titles alone and cannot be searched by photo" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["item 0"], "0 of them given by photo or title, and 1 by id"),
        (["item 0", "item 1", "item 2"], "and 3 by id"),
        (["item 0", "item 1", "--title-b", "mug"], "1 of them given by photo or title, and 2 by id"),
        (["item 0", "item 1"], "name where: --index INDEX, or --catalog"),
        (["--title-a", "mug", "--title-b", "mug"], "give --model MODEL"),
        (["item 0", "item 1", "--index", "i", "--catalog", "c"], "give --index or --catalog, not both"),
        (["item 0", "item 1", "--catalog", "c"], "give --model MODEL"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


def test_ids_that_are_not_there(shop: Path, model: Path) -> None:
    assert "index has no listing 'item x'" in refused("item 0", "item x", "--index", shop / "index")
    catalog = ["--catalog", shop / "catalog", "--model", model]
    assert "catalog has no listing 'item x'" in refused("item 0", "item x", *catalog)


def test_another_model_than_that_of_the_index_is_refused(shop: Path, model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    (other / "whitening.safetensors").unlink()
    said = refused("item 0", "item 1", "--index", shop / "index", "--model", other)
    assert "is another model than that of" in said
    assert "check --model" in refused("item 0", "item 1", "--index", shop / "index", "--model", tmp_path / "none")


def test_a_file_that_is_no_page_is_kept(shop: Path) -> None:
    photo = shop / "photo.png"
    assert "is no HTML page" in refused("item 0", "item 1", "--index", shop / "index", "--html", photo)
    assert photo.read_bytes() == pattern(3)


def test_a_listing_of_nothing_is_refused(shop: Path, model: Path) -> None:
    said = refused("--title-a", " ", "--title-b", "mug", "--model", model)
    assert "product 0 has neither a photo nor a title" in said
