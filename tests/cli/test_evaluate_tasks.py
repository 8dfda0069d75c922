"""`item evaluate --task leaf-category | dominance | robustness | all`."""

from pathlib import Path
from typing import Any

import pytest

from item_embed.catalog.store import Catalog
from tests.catalogs import Row, photo, write_catalog
from tests.cli.evaluating import refused, run, shown
from tests.embedders import DummyEmbedder, replace_embedder

COLOURS = {"red": (200, 20, 20), "green": (20, 160, 40), "blue": (30, 40, 200)}


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    replace_embedder(monkeypatch)
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
    assert "test rows, 3 leaves to tell apart: accuracy" in result.stdout.splitlines()[-1]
    assert "Taken for another leaf" in page.read_text(encoding="utf8")


def test_leaf_category_by_a_column(model: Path, catalog: Catalog) -> None:
    methods = shown(model, catalog.path, "--task", "leaf-category", "--by", "shape")["methods"]
    assert isinstance(methods, dict)
    assert {value: part["rows"] for value, part in methods["linear probe"]["by"]["shape"].items()} == {
        "7": 12,
        "8": 12,
        "9": 12,
    }
    result = run(model, catalog.path, "--task", "leaf-category", "--by", "category")
    assert "Leaf category, accuracy by category" in result.stdout


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
        (["--task", "leaf-category", "--sample", "5"], "--sample has no meaning for --task leaf-category"),
        (["--task", "leaf-category", "--by", "colour"], "no column 'colour' for --by; there is category, shape"),
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
    assert "macro recall@10 of variants" in result.stdout
    assert "size" in refused(model, catalog.path, "--split", "test", "--variants", "size")


def test_no_category_is_one_sentence(tmp_path: Path, model: Path) -> None:
    plain = write_catalog(tmp_path / "plain", [Row("a", "mug"), Row("b", "cup")])
    assert "categor" in refused(model, plain.path, "--task", "leaf-category")


TASKS = ["same-product", "leaf-category", "dominance", "robustness", "reconstruction"]


def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many products each call embeds, from now on."""
    sizes: list[int] = []
    embed = DummyEmbedder.embed

    def counted(self: DummyEmbedder, *given: Any, **named: Any) -> object:
        found = embed(self, *given, **named)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(DummyEmbedder, "embed", counted)
    return sizes


def test_all_tasks_in_one_call(tmp_path: Path, model: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = embedded(monkeypatch)
    options = ("--task", "all", "--split", "test", "--sample", 4, "--baselines", "--by", "shape")
    found = shown(model, catalog.path, *options)
    assert sizes.count(120) == 3  # both, the photo alone, the title alone
    assert list(found) == ["task", "tasks", "left_out"]
    tasks, left_out = found["tasks"], found["left_out"]
    assert isinstance(tasks, dict)
    assert isinstance(left_out, dict)
    assert list(tasks) == TASKS[:-1]
    assert [task["task"] for task in tasks.values()] == TASKS[:-1]
    assert list(left_out) == ["reconstruction"]
    assert "holds no model" in left_out["reconstruction"]
    alone = shown(model, catalog.path, "--split", "test", "--baselines", "--by", "shape")
    assert tasks["same-product"] == alone
    page = tmp_path / "page.html"
    result = run(model, catalog.path, *options[:6], "--html", page)
    assert result.exit_code == 0, result.output
    html = page.read_text(encoding="utf8")
    for name in TASKS[:-1]:
        assert f'<section id="{name}">' in html
        assert any(line.startswith(f"{name}: ") for line in result.stdout.splitlines()[-7:])
    assert "reconstruction <span" in html
    assert any(line.startswith("reconstruction is left out: ") for line in result.stdout.splitlines()[-7:])
    assert result.stdout.splitlines()[-1] == f"4 of 5 tasks measured. Page in {page}."


def test_of_all_tasks_same_product_alone_masks_words_and_joins_them(model: Path, catalog: Catalog) -> None:
    options = ("--split", "test", "--hybrid", "--mask-shared-words", "all")
    found = shown(model, catalog.path, "--task", "all", "--sample", 4, *options)["tasks"]
    plain = shown(model, catalog.path, "--task", "all", "--sample", 4, "--split", "test")["tasks"]
    assert isinstance(found, dict)
    assert isinstance(plain, dict)
    assert found.pop("same-product") == shown(model, catalog.path, *options)
    del plain["same-product"]
    assert found == plain


def test_what_a_catalogue_does_not_allow_is_left_out(tmp_path: Path, model: Path) -> None:
    rows = [
        Row(f"{name}{n}", f"{name} mug {n}", photo(rgb, (20, 20 + n))) for name, rgb in COLOURS.items() for n in (0, 1)
    ]
    unlabelled = write_catalog(tmp_path / "plain", rows)
    found = shown(model, unlabelled.path, "--task", "all")
    tasks, left_out = found["tasks"], found["left_out"]
    assert isinstance(tasks, dict)
    assert isinstance(left_out, dict)
    assert list(tasks) == ["dominance"]
    assert "no same-product labels" in left_out["same-product"]
    assert "no categories" in left_out["leaf-category"]
    assert "no same-product labels" in left_out["robustness"]


def test_relistings_are_asked_by_every_task_that_asks(model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path, "--task", "all", "--relist", 6, "--by", "kind", "--split", "test")["tasks"]
    assert isinstance(found, dict)
    assert [found[name]["protocol"] for name in ("same-product", "dominance", "robustness")] == ["relistings"] * 3
    assert set(found["same-product"]["by"]["kind"]) <= {"reshot", "restaged"}
    assert "by" not in found["leaf-category"]["methods"]["linear probe"]  # the relistings' column, not the feed's


def test_a_simple_method_is_measured_as_far_as_it_goes(catalog: Catalog) -> None:
    found = shown("tfidf", catalog.path, "--task", "all", "--baselines")
    tasks, left_out = found["tasks"], found["left_out"]
    assert isinstance(tasks, dict)
    assert isinstance(left_out, dict)
    assert list(tasks) == ["same-product", "leaf-category"]
    assert all("simple method" in reason for reason in left_out.values())


def test_nothing_to_measure_is_one_sentence_and_so_is_a_wrong_option(
    tmp_path: Path, model: Path, catalog: Catalog
) -> None:
    assert "no column 'size'" in refused(model, catalog.path, "--task", "all", "--by", "size")
    bare = write_catalog(tmp_path / "bare", [Row("a", "mug"), Row("b", "cup")])
    said = refused(model, bare.path, "--task", "all")
    assert "nothing of" in said
    assert "no categories" in said
