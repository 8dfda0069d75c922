"""`item evaluate --task leaf-category | dominance | robustness`."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from item_embed.catalog.store import Catalog
from tests.catalogs import Row, photo, write_catalog
from tests.cli.evaluating import refused, run, shown
from tests.embedders import DummyEmbedder, replace_embedder

COLOURS = {"red": (200, 20, 20), "green": (20, 160, 40), "blue": (30, 40, 200)}


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    replace_embedder(monkeypatch)
    monkeypatch.setattr(DummyEmbedder, "processor", SimpleNamespace(image_size=(32, 32)), raising=False)
    config = SimpleNamespace(config=SimpleNamespace(patch_size=16))
    monkeypatch.setattr(DummyEmbedder, "model", config, raising=False)
    (tmp_path / "run" / "model").mkdir(parents=True)
    return tmp_path / "run" / "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three leaves of forty listings, two of each product."""
    rows = [
        Row(
            f"{colour}{number}",
            f"{colour} mug number {number // 2}",
            photo(COLOURS[colour], size=(24, 24 + number // 2)),
            category=f"Mugs > {colour}",
            product_id=f"{colour}{number // 2}",
            split=("train", "validation", "test")[min(number // 14, 2)],
            metadata={"shape": str(number // 4)},
        )
        for colour in COLOURS
        for number in range(40)
    ]
    return write_catalog(tmp_path / "catalog", rows)


def test_leaf_category_beside_words(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path, "--task", "leaf-category", "--baselines")
    assert found["task"] == "leaf-category"
    assert found["baseline"] == "tfidf"
    methods = found["methods"]
    assert isinstance(methods, dict)
    assert list(methods) == ["linear probe", "nearest neighbours", "tfidf"]
    assert methods["tfidf"]["accuracy"]["value"] == 1
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--task", "leaf-category", "--html", page)
    assert result.exit_code == 0, result.output
    assert "test rows of 3 leaves: accuracy" in result.stdout.splitlines()[-1]
    assert "Taken for another leaf" in page.read_text(encoding="utf8")


def test_leaf_category_by_words_alone(catalog: Catalog) -> None:
    found = shown("tfidf", catalog.path, "--task", "leaf-category")
    assert isinstance(found["methods"], dict)
    assert list(found["methods"]) == ["tfidf"]


def test_dominance_with_labels_and_without(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path, "--task", "dominance", "--split", "test", "--sample", 20)
    assert found["listings"] == 20
    index = found["index"]
    assert isinstance(index, dict)
    assert -1 <= index["value"] <= 1
    retrieval = found["retrieval"]
    assert isinstance(retrieval, dict)
    assert set(retrieval) == {"image", "title", "both", "photo_swapped", "title_swapped"}
    rows = [
        Row(f"{name}{n}", f"{name} mug {n}", photo(rgb, (20, 20 + n))) for name, rgb in COLOURS.items() for n in (0, 1)
    ]
    unlabelled = write_catalog(tmp_path / "plain", rows)
    result = run(model, unlabelled.path, "--task", "dominance", "--split", "all")
    assert result.exit_code == 0, result.output
    assert "dominance index" in result.stdout.splitlines()[-1]
    assert "query sees" not in result.stdout


def test_robustness(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--task", "robustness", "--split", "test", "--sample", 4, "--html", page)
    assert result.exit_code == 0, result.output
    assert "4 queries: macro recall@10" in result.stdout.splitlines()[-1]
    text = page.read_text(encoding="utf8")
    for said in ("Same product, queries altered", "as they are", "blurred", "misspelt"):
        assert said in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "leaf-category", "--by", "colour"], "--by has no meaning for --task leaf-category"),
        (["--task", "dominance", "--modalities", "title"], "--modalities has no meaning for --task dominance"),
        (["--task", "robustness", "--baselines"], "--baselines has no meaning for --task robustness"),
        (["--fine-tune"], "--fine-tune has no meaning for --task same-product"),
        (["--sample", "5"], "--sample has no meaning for --task same-product"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    model: Path, catalog: Catalog, options: list[str], said: str
) -> None:
    assert said in refused(model, catalog.path, *options)


def test_variants(model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path, "--split", "test", "--variants", "shape")["variants"]
    assert isinstance(found, dict)
    assert found["column"] == "shape"
    assert found["queries"]
    result = run(model, catalog.path, "--split", "test", "--variants", "shape")
    assert "a variant before the product" in result.stdout
    assert "size" in refused(model, catalog.path, "--split", "test", "--variants", "size")


def test_no_category_is_one_sentence(tmp_path: Path, model: Path) -> None:
    plain = write_catalog(tmp_path / "plain", [Row("a", "mug"), Row("b", "cup")])
    assert "categor" in refused(model, plain.path, "--task", "leaf-category")
