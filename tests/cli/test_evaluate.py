import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from item_embed.catalog.store import Catalog
from item_embed.cli.evaluating import same_product
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.vectors import write_vectors
from item_embed.evaluation.embedded import embed_queries
from item_embed.evaluation.hybrid import evaluate_hybrid
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.queries import given_queries
from item_embed.evaluation.report import Pictures, Word
from item_embed.model.configuration import ItemConfig
from item_embed.search.exact import tie_keys
from item_embed.search.words import TitleWords
from tests.catalogs import Row, photo, write_catalog
from tests.cli.evaluating import refused, run, shown
from tests.embedders import dummy, replace_embedder
from tests.evaluation.relistings import query, write_queries

FIGURES = ["hit_at_1", "macro_recall_at_10", "map_at_10"]
COLOURS = [(200, 20, 20), (20, 160, 40), (30, 40, 200), (210, 180, 10)]


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder; every folder's embedder is a dummy whose fingerprint is the folder's name."""
    replace_embedder(monkeypatch)
    (tmp_path / "run" / "model").mkdir(parents=True)
    return tmp_path / "run" / "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Four products of three listings each: equal photos and unlike titles; the last product is for testing."""
    rows = [
        Row(
            f"{product}{listing}",
            f"listing {listing} of {product}",
            photo(COLOURS[number]),
            product_id=product,
            split="test" if product == "d" else "train",
        )
        for number, product in enumerate("abcd")
        for listing in range(3)
    ]
    return write_catalog(tmp_path / "catalog", rows)


@pytest.fixture
def relistings(tmp_path: Path, catalog: Catalog) -> Path:
    given = [
        query(f"{product}0", title="x", image=photo(COLOURS[number]), product_id=product, kind=f"kind {number % 2}")
        for number, product in enumerate("abcd")
    ]
    return write_queries(tmp_path / "queries.parquet", given)


def test_the_json_object(model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path)
    assert list(found) == ["task", "protocol", "split", "queries", "index_size", "modalities", "remarks", *FIGURES]
    assert list(found.values())[:7] == ["same-product", "listings", "all", 12, 12, "both", []]


def test_the_split_is_test_where_the_model_was_trained_on_the_catalogue(model: Path, catalog: Catalog) -> None:
    provenance = model / "provenance.json"
    provenance.write_text(json.dumps({"catalog_fingerprint": catalog.fingerprint}))
    assert (shown(model, catalog.path)["split"], shown(model, catalog.path)["queries"]) == ("test", 3)
    assert shown(model, catalog.path, "--split", "all")["queries"] == 12
    provenance.write_text(json.dumps({"catalog_fingerprint": "another"}))
    assert shown(model, catalog.path)["split"] == "all"
    assert shown("pixels", catalog.path)["split"] == "all"


def test_modalities_restrict_queries_and_index(model: Path, catalog: Catalog) -> None:
    def recall(modalities: str) -> object:
        figure = shown(model, catalog.path, "--modalities", modalities)["macro_recall_at_10"]
        assert isinstance(figure, dict)
        return figure["value"]

    assert recall("image") == 1.0  # the dummy gives equal photos equal vectors
    assert recall("title") != 1.0  # and unlike titles unlike ones


def test_given_queries_and_figures_by_a_column(model: Path, catalog: Catalog, relistings: Path) -> None:
    found = shown(model, catalog.path, "--queries", relistings, "--by", "kind", "--baselines")
    assert list(found.values())[:6] == ["same-product", "given", "all", 4, 12, "both"]
    by, baselines = found["by"], found["baselines"]
    assert isinstance(by, dict)
    assert isinstance(baselines, dict)
    assert {kind: part["queries"] for kind, part in by["kind"].items()} == {"kind 0": 2, "kind 1": 2}
    assert list(baselines) == ["tfidf", "characters", "pixels", "colours", "pixels+colours", "simple"]
    assert baselines["colours"]["hit_at_1"]["value"] == 1.0
    assert list(baselines["colours"]) == ["modalities", *FIGURES, "by", "model_minus_baseline"]


def test_listings_of_the_catalogue_are_told_apart_by_category_and_by_columns_of_the_feed(
    tmp_path: Path, model: Path
) -> None:
    rows = [
        Row(
            f"r{i}",
            f"thing {i}",
            photo(COLOURS[i // 6]),
            category=("A > X", "B")[i % 2],
            product_id=f"p{i // 2}",
            metadata={"sku": f"s{i % 40}"},
        )
        for i in range(24)
    ] + [Row(f"more{i}", f"more {i}", product_id=f"m{i // 2}", metadata={"sku": f"t{i}"}) for i in range(60)]
    catalog = write_catalog(tmp_path / "told", rows)
    found = shown(model, catalog.path, "--by", "category")["by"]
    assert isinstance(found, dict)
    assert {value: part["queries"] for value, part in found["category"].items()} == {"(none)": 60, "A": 12, "B": 12}
    found = shown(model, catalog.path, "--by", "sku")["by"]
    assert isinstance(found, dict)
    assert len(found["sku"]) == 31
    assert found["sku"]["others (54 values)"]["queries"] == 54
    result = run(model, catalog.path, "--by", "sku")
    assert "1*" in result.stdout
    assert "fewer than 10 queries" in result.stdout


def test_relistings_are_made_of_the_split_and_say_so(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    found = shown(model, catalog.path, "--relist", 5)
    assert list(found.values())[:5] == ["same-product", "relistings", "all", 5, 12]
    remarks = found["remarks"]
    assert isinstance(remarks, list)
    assert remarks[0].startswith("Simulated")
    (model / "provenance.json").write_text(json.dumps({"catalog_fingerprint": catalog.fingerprint}))
    found = shown(model, catalog.path, "--relist", 2, "--by", "kind", "--baselines")
    assert (found["split"], found["queries"]) == ("test", 2)
    assert shown(model, catalog.path, "--relist", 5, "--split", "all")["split"] == "all"
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--relist", 2, "--html", page)
    assert result.exit_code == 0, result.output
    assert "2 queries, simulated second listings of rows of the test split" in " ".join(result.stdout.split())
    assert "2 simulated relistings among 12 listings" in result.stdout.splitlines()[-1]
    assert "Simulated" in result.stderr
    assert "simulated second listings" in page.read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("modalities", "methods"),
    [("title", ["tfidf", "characters"]), ("image", ["pixels", "colours", "pixels+colours"])],
)
def test_baselines_see_what_the_model_sees(model: Path, catalog: Catalog, modalities: str, methods: list[str]) -> None:
    baselines = shown(model, catalog.path, "--modalities", modalities, "--baselines")["baselines"]
    assert isinstance(baselines, dict)
    assert list(baselines) == methods


def test_a_simple_method_alone(catalog: Catalog) -> None:
    found = shown("colours", catalog.path)
    assert found["modalities"] == "image"
    assert "baselines" not in found
    assert found["hit_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_vectors_save_the_embedding(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    vectors = tmp_path / "vectors.parquet"
    write_vectors(vectors, embed_catalog(dummy(model, "model"), catalog))
    assert shown(model, catalog.path, "--vectors", vectors) == shown(model, catalog.path)
    write_vectors(vectors, embed_catalog(dummy(model, "another"), catalog))
    assert "another model" in refused(model, catalog.path, "--vectors", vectors)


def test_hybrid_is_a_row_beside_the_model(model: Path, catalog: Catalog, relistings: Path) -> None:
    queries = given_queries(relistings, catalog)
    vectors = embed_catalog(dummy(), catalog).vectors
    with TitleWords(catalog.ids, catalog.titles) as words:
        asked = embed_queries(dummy(), queries)
        expected = evaluate_hybrid(vectors, asked, queries, tie_keys(catalog.ids), words)
    plain = shown(model, catalog.path, "--queries", relistings, "--baselines", "--by", "kind")
    found = shown(model, catalog.path, "--queries", relistings, "--baselines", "--by", "kind", "--hybrid")
    baselines, before = found.pop("baselines"), plain.pop("baselines")
    assert isinstance(baselines, dict)
    assert isinstance(before, dict)
    assert found == plain
    assert list(baselines) == ["model + BM25", *before]
    joined = baselines["model + BM25"]
    assert joined["modalities"] == "both"
    assert list(joined) == ["modalities", *FIGURES, "by", "model_minus_baseline"]
    assert joined["map_at_10"] == expected.figures()["map_at_10"].as_json()
    table = run(model, catalog.path, "--hybrid", "--modalities", "title").stdout
    assert next(line.split()[:4] for line in table.splitlines() if "BM25" in line) == ["model", "+", "BM25", "title"]


def test_shared_words_are_masked_for_every_method(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    masked = write_catalog(
        tmp_path / "masked",
        [
            Row(key, key[1], catalog.photo(row), product_id=key[0], split=str(catalog.splits[row]))
            for row, key in enumerate(catalog.ids)
        ],
    )
    options = ("--hybrid", "--baselines", "--split", "test")
    found = shown(model, catalog.path, *options, "--mask-shared-words", "all")
    expected = shown(model, masked.path, *options)
    assert found.pop("masked_words") == {
        "titles": 12,
        "changed": 12,
        "words_before": 4.0,
        "words_left": 1.0,
        "emptied": 0,
    }
    remarks = found.pop("remarks")
    assert isinstance(remarks, list)
    assert remarks[:-1] == expected.pop("remarks")
    assert remarks[-1].startswith("Shared words are masked: 12 of 12 titles lost")
    assert found == expected
    assert found["baselines"] != shown(model, catalog.path, *options)["baselines"]
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--mask-shared-words", "all", "--html", page)
    assert result.exit_code == 0, result.output
    assert "Shared words are masked" in result.stderr
    assert "Shared words are masked" in (html := page.read_text(encoding="utf8"))
    assert "listing 0" not in html
    alone = shown("simple", catalog.path, "--split", "test", "--mask-shared-words", "all")
    baselines = found["baselines"]
    assert isinstance(baselines, dict)
    assert alone["macro_recall_at_10"] == baselines["simple"]["macro_recall_at_10"]


def test_words_that_a_query_shares_with_its_row_are_masked(model: Path, catalog: Catalog, tmp_path: Path) -> None:
    asked = [query("a0", title="a listing", image=photo(COLOURS[1]))]
    queries = write_queries(tmp_path / "asked.parquet", asked)
    found = shown(model, catalog.path, "--queries", queries, "--mask-shared-words", "all")["masked_words"]
    # of a's "listing N of a" and "a listing" both words go; the other products' "listing N of X" lose three
    assert found == {"titles": 13, "changed": 13, "words_before": 50 / 13, "words_left": 15 / 13, "emptied": 1}


def test_the_table_and_the_page(tmp_path: Path, model: Path, catalog: Catalog, relistings: Path) -> None:
    line = {"step": 1, "samples": 8, "split": "train", "losses": {"gmlm": 2.0}}
    (model.parent / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--queries", relistings, "--baselines", "--by", "kind", "--html", page)
    assert result.exit_code == 0, result.output
    for text in ("Same product", "pixels+colours", "model minus", "kind 1"):
        assert text in result.stdout
    assert "Only 4 queries" in result.stderr
    assert "4 queries among 12 listings" in result.stdout.splitlines()[-1]
    html = page.read_text(encoding="utf8")
    for text in ("model minus each other method", "GMLM", "kind 1", "listing 0 of a", "data:image/jpeg"):
        assert text in html


def test_the_card_gets_the_table_and_a_later_one_of_the_same_takes_its_place(
    model: Path, catalog: Catalog, relistings: Path
) -> None:
    (model / "config.json").write_text(json.dumps(ItemConfig().to_dict()))
    (model / "provenance.json").write_text(json.dumps({"catalog_fingerprint": catalog.fingerprint}))
    result = run(model, catalog.path, "--card", "--split", "all")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == f"card: {model / 'README.md'}"
    shown(model, catalog.path, "--card", "--queries", relistings, "--modalities", "image", "--baselines")
    shown(model, catalog.path, "--card", "--split", "all", "--baselines")
    shown(model, catalog.path, "--card", "--split", "all", "--mask-shared-words", "all")
    card = (model / "README.md").read_text(encoding="utf8")
    where = f"same-product on catalog ({catalog.fingerprint[:12]})"
    assert [line for line in card.splitlines() if line.startswith("### ")] == [
        f"### {where} --split all",
        f"### {where} --queries queries.parquet --modalities image",
        f"### {where} --split all --mask-shared-words all",
    ]
    first, second, third = card.split("\n### ")[1:]
    assert "Shared words are masked: 12 of 12 titles lost" in third
    assert "12 queries, listings of the catalogue" in first
    assert "| simple | both |" in first
    assert "rows that the model was trained on, so the figures may flatter it" in first
    assert "4 queries" in second
    value = shown(model, catalog.path, "--split", "all")["macro_recall_at_10"]
    assert isinstance(value, dict)
    assert f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in first


def test_a_simple_method_has_no_card(catalog: Catalog) -> None:
    assert "--card has no meaning for a simple method" in refused("colours", catalog.path, "--card")


def test_reconstruction_is_another_task(
    tmp_path: Path, model: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reconstruct(folder: Path, rows: Catalog, split: str, *_: object) -> SimpleNamespace:
        assert (folder, rows.path) == (model, catalog.path)
        return SimpleNamespace(
            split=split,
            rows=3,
            predictions={"tokens": 7, "patches": 9},
            model={"gmlm_top1": Figure(0.5, 0.25, 0.75), "gmim_error": Figure(0.125, None, None, "why")},
            position_only={"top1": Figure(0.375, 0.25, 0.5), "error": Figure(0.625, 0.5, 0.75)},
            as_json=lambda: {"task": "reconstruction", "split": split},
        )

    drawn = [Pictures([("a photo", photo((1, 2, 3)))], [("title", [Word("mug", "hidden")])])]
    faked: dict[str, dict[str, object]] = {
        "reconstruction": {"evaluate_reconstruction": reconstruct, "Masking": SimpleNamespace(of=lambda *_: None)},
        "pictures": {"shown_rows": lambda *_, **__: [], "constructed": lambda *_: drawn},
    }
    for name, members in faked.items():
        module = ModuleType(f"item_embed.evaluation.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    assert shown(model, catalog.path, "--task", "reconstruction") == {"task": "reconstruction", "split": "test"}
    page = tmp_path / "page.html"
    result = run(model, catalog.path, "--task", "reconstruction", "--split", "validation", "--html", page)
    assert result.exit_code == 0, result.output
    for text in (result.stdout, page.read_text(encoding="utf8")):
        for cell in ("gmlm top1", "0.500 [0.250, 0.750]", "0.375 [0.250, 0.500]", "gmim error", "0.625"):
            assert cell in text
    assert '<mark class="hidden">mug</mark>' in page.read_text(encoding="utf8")
    assert "3 rows of the validation split" in result.stdout.splitlines()[-1]


def test_what_cannot_be_evaluated_is_one_sentence(
    tmp_path: Path, model: Path, catalog: Catalog, relistings: Path
) -> None:
    unlabelled = write_catalog(tmp_path / "plain", [Row("a", "mug"), Row("b", "cup")])
    assert "no same-product labels" in refused(model, unlabelled.path)
    assert "leave one of them out" in refused(model, catalog.path, "--queries", relistings, "--split", "test")
    assert "no column 'sort'" in refused(model, catalog.path, "--queries", relistings, "--by", "sort")
    assert "no column 'kind' for --by; there is category" in refused(model, catalog.path, "--by", "kind")
    assert "names 4 items" in refused(model, unlabelled.path, "--queries", relistings)
    assert "not a catalogue" in refused(model, tmp_path)
    assert "leave one of them out" in refused(model, catalog.path, "--queries", relistings, "--relist", 3)
    assert "--queries has no meaning" in refused(
        model, catalog.path, "--task", "reconstruction", "--queries", relistings
    )


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("tfidf", ["--task", "dominance"], "tfidf is a simple method, and this is measured on a trained model"),
        ("model", ["--task", "leaf-category", "--relist", "5"], "--relist has no meaning for --task leaf-category"),
        ("model", ["--task", "all", "--modalities", "title"], "--modalities has no meaning for --task all"),
        ("tfidf", ["--vectors", "v.parquet"], "--vectors has no meaning for a simple method"),
        ("tfidf", ["--device", "cpu"], "--device has no meaning for a simple method"),
        ("simple", ["--batch-size", "256"], "--batch-size has no meaning for a simple method"),
        ("simple", ["--modalities", "title"], "simple sees both"),
        ("tfidf", ["--modalities", "both"], "tfidf sees title"),
        ("tfidf", ["--hybrid"], "--hybrid has no meaning for a simple method"),
        (
            "colours",
            ["--mask-shared-words", "all"],
            "--mask-shared-words has no meaning for colours, which sees no words",
        ),
        ("model", ["--hybrid", "--modalities", "image"], "--hybrid has no meaning for --modalities image"),
        (
            "model",
            ["--mask-shared-words", "all", "--modalities", "image"],
            "--mask-shared-words has no meaning for --modal",
        ),
        (
            "model",
            ["--mask-shared-words", "all", "--vectors", "v.parquet"],
            "--vectors are of whole titles and --mask-shared",
        ),
        ("model", ["--task", "dominance", "--hybrid"], "--hybrid has no meaning for --task dominance"),
        (
            "model",
            ["--task", "robustness", "--mask-shared-words", "all"],
            "--mask-shared-words has no meaning for --task rob",
        ),
        ("model", ["--task", "reconstruction", "--device", "cpu"], "--device has no meaning for --task reconstruction"),
        ("model", ["--task", "reconstruction", "--batch-size", "8"], "--batch-size has no meaning"),
        ("model", ["--task", "reconstruction", "--modalities", "both"], "--modalities has no meaning"),
        ("model", ["--task", "reconstruction", "--baselines"], "--baselines has no meaning"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    model: Path, catalog: Catalog, method: str, options: list[str], said: str
) -> None:
    assert said in refused(model if method == "model" else method, catalog.path, *options)


@pytest.mark.parametrize(("method", "modalities"), [("tfidf", "title"), ("colours", "image"), ("simple", "both")])
def test_a_simple_method_may_be_told_what_it_sees(catalog: Catalog, method: str, modalities: str) -> None:
    assert shown(method, catalog.path, "--modalities", modalities) == shown(method, catalog.path)


def test_a_seed_is_not_negative(model: Path, catalog: Catalog) -> None:
    result = run(model, catalog.path, "--seed", -1)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, model: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(same_product, "_model", None)
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written" in refused(model, catalog.path, "--html", tmp_path / "file" / "page.html")


def test_queries_of_rows_trained_on_are_remarked(model: Path, catalog: Catalog, relistings: Path) -> None:
    trained = {"catalog_fingerprint": catalog.fingerprint, "excluded_rows": 0}
    (model / "provenance.json").write_text(json.dumps(trained))
    remark = "3 of 4 queries belong to rows that the model was trained on"
    assert remark in run(model, catalog.path, "--queries", relistings).stderr
    remarks = shown(model, catalog.path, "--queries", relistings)["remarks"]
    assert isinstance(remarks, list)
    assert remarks[0].startswith("Only 4 queries")
    assert remarks[1].startswith(remark)
    (model / "provenance.json").write_text(json.dumps(trained | {"excluded_rows": 9}))
    assert remark not in run(model, catalog.path, "--queries", relistings).stderr
