import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.catalog.photos.images import prepare_photo
from item_embed.catalog.preparing import prepare
from item_embed.cli import embed, index, search
from item_embed.cli.main import guarded
from item_embed.embedding.shards import Job
from item_embed.embedding.vectors import read_vectors
from item_embed.files import OutputError
from item_embed.search.index import ProductIndex
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import DummyEmbedder, replace_embedder
from tests.servers import Server

RED, BLUE = photo((200, 20, 20)), photo((20, 20, 200))


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder; every folder's embedder is a dummy whose fingerprint is the folder's name."""
    replace_embedder(monkeypatch)
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    rows = [
        Row("a", "red mug", RED, category="Kitchen > Mugs", metadata={"price": 3}),
        Row("b", "blue mug", BLUE),
        Row("c", "grün & fine", category="<b>bold</b>"),
        Row("d", None, BLUE),
    ]
    write_catalog(tmp_path / "catalog", rows)
    return tmp_path / "catalog"


@pytest.fixture
def built(tmp_path: Path, model: Path, catalog: Path) -> Path:
    item("embed", model, catalog, "--out", tmp_path / "vectors.parquet")
    item("index", tmp_path / "vectors.parquet", catalog, "--out", tmp_path / "index")
    return tmp_path / "index"


def run(name: str, *arguments: object) -> Result:
    app = typer.Typer()
    for module in (embed, index, search):
        app.command(module.__name__.rpartition(".")[2])(guarded(module.command))
    return CliRunner().invoke(app, [name, *map(str, arguments)])


def item(name: str, *arguments: object) -> Result:
    result = run(name, *arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(name: str, *arguments: object) -> str:
    """What a command says when it refuses: one line, no traceback."""
    result = run(name, *arguments)
    assert result.exit_code == 1
    assert not result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "unexpected" not in lines[0]
    return lines[0]


def found(result: Result) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = json.loads(result.stdout)["hits"]
    return hits


def test_a_title_and_a_photo_find_their_product(built: Path, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(RED)
    result = item("search", built, "--title", "red mug", "--image", tmp_path / "query.jpg", "--json", "-k", 2)
    assert json.loads(result.stdout)["query"] == {"image": str(tmp_path / "query.jpg"), "title": "red mug"}
    best, second = found(result)
    assert best.pop("score") == pytest.approx(1)
    assert best == {"id": "a", "title": "red mug", "category": "Kitchen > Mugs", "metadata": {"price": 3}}
    assert second["score"] < 0.9


def test_a_photo_alone_and_a_title_alone(built: Path, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(prepare_photo(BLUE).data)
    assert found(item("search", built, "--image", tmp_path / "query.jpg", "--json"))[0]["id"] == "d"
    assert found(item("search", built, "--title", "blue mug", "--json"))[0]["id"] == "b"


def test_a_title_is_cleaned_as_the_catalogues_are(built: Path) -> None:
    best = found(item("search", built, "--title", " gr&uuml;n  &amp; fine ", "--json"))[0]
    assert (best["id"], best["score"]) == ("c", pytest.approx(1))


def test_the_table_shows_rank_score_id_title_and_category(built: Path) -> None:
    result = item("search", built, "--title", "red mug", "-k", 3)
    line = next(line for line in result.stdout.splitlines() if "Kitchen" in line)
    for shown in ("red mug", "Kitchen > Mugs", " a "):
        assert shown in line
    assert result.stdout.splitlines()[-1] == "3 of 4 products shown."


def test_the_page_holds_query_hits_and_photos(built: Path, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(RED)
    out = tmp_path / "new" / "page.html"
    item("search", built, "--image", tmp_path / "query.jpg", "--html", out)
    text = out.read_text(encoding="utf8")
    assert text.count("<img") == 4  # the query and the three hits with a photo
    assert "query.jpg" in text
    assert "grün &amp; fine" in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text


def test_a_query_needs_a_photo_or_a_title(built: Path) -> None:
    assert "--image FILE, --title TEXT" in refused("search", built)
    assert "nothing to look for" in refused("search", built, "--title", "  ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no photo", "not a readable image"),
        (photo((1, 2, 3), (300, 300))[:-200], "truncated file"),
        (b"", "empty file"),
    ],
)
def test_an_unusable_photo_is_named(built: Path, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "query.jpg").write_bytes(content)
    message = refused("search", built, "--image", tmp_path / "query.jpg")
    assert "query.jpg" in message
    assert reason in message


def test_a_missing_photo_is_named(built: Path, tmp_path: Path) -> None:
    assert "No such file" in refused("search", built, "--image", tmp_path / "none.jpg")


def test_another_model_is_refused(built: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert "another model" in refused("search", built, "--title", "mug", "--model", tmp_path / "other")


def test_a_model_that_moved_can_be_named(built: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = model.rename(tmp_path / "elsewhere" / "model")
    said = refused("search", built, "--title", "red mug")
    assert said == f"error: the model that made the vectors of {built} is not at {model}; name its folder with --model."
    assert found(item("search", built, "--title", "red mug", "--model", moved, "--json"))[0]["id"] == "a"


def test_no_index_there(tmp_path: Path) -> None:
    assert "is not an index" in refused("search", tmp_path / "none", "--title", "mug")


@pytest.mark.parametrize(("modalities", "empty"), [("both", 0), ("image", 1), ("title", 1)])
def test_embed_writes_every_row(model: Path, catalog: Path, tmp_path: Path, modalities: str, empty: int) -> None:
    out = tmp_path / "v.parquet"
    result = item("embed", model, catalog, "--out", out, "--modalities", modalities, "--json")
    told = json.loads(result.stdout)
    assert told.pop("rows_per_second") > 0
    assert told == {
        "out": str(out),
        "rows": 4,
        "empty": empty,
        "dimension": 16,
        "modalities": modalities,
        "fingerprint": "model",
        "shards": 1,
        "kept_shards": 0,
        "engine": "local",
        "workers": 0,
        "retried_shards": 0,
    }
    vectors = read_vectors(out)
    assert vectors.ids == ["a", "b", "c", "d"]
    assert vectors.model == str(model)
    assert int((~vectors.vectors.any(axis=1)).sum()) == empty
    assert vectors.modalities == modalities
    text = item("embed", model, catalog, "--out", tmp_path / "again.parquet", "--modalities", modalities).stdout
    assert text.startswith("4 vectors of 16 numbers in ")
    assert ("got zeros" in text) == (empty > 0)


def test_embed_goes_on_where_an_interrupted_run_ended(
    model: Path, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, embed, calls = Job.of, DummyEmbedder.embed, 0
    monkeypatch.setattr(Job, "of", partial(job, shard_rows=3))
    out, whole = tmp_path / "v.parquet", tmp_path / "whole.parquet"
    item("embed", model, catalog, "--out", whole)

    def interrupted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return embed(*given)

    monkeypatch.setattr(DummyEmbedder, "embed", interrupted)
    result = run("embed", model, catalog, "--out", out)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "interrupted")
    assert not out.exists()
    (tmp_path / "other").mkdir()
    assert "1 finished shard by another model" in refused("embed", tmp_path / "other", catalog, "--out", out)
    result = item("embed", model, catalog, "--out", out, "--json")
    assert result.stderr.startswith(f"note: 1 of 2 shards is kept from an earlier run in {out}.parts")
    assert (json.loads(result.stdout)["shards"], json.loads(result.stdout)["kept_shards"]) == (2, 1)
    assert calls == 3
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.parts").exists()


def test_embed_replaces_nothing(model: Path, catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "v.parquet").write_bytes(b"kept")
    assert "exists already" in refused("embed", model, catalog, "--out", tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--actors", "2"], "are for --engine ray"),
        (["--ray-address", "auto"], "are for --engine ray"),
        (["--engine", "ray", "--workers", "2"], "--workers is for one machine"),
        (["--engine", "ray", "--precision", "auto"], "give fp32 or bf16"),
    ],
)
def test_embed_refuses_options_of_the_other_engine(
    options: list[str], said: str, model: Path, catalog: Path, tmp_path: Path
) -> None:
    assert said in refused("embed", model, catalog, "--out", tmp_path / "v.parquet", *options)


def test_embed_without_a_catalogue(model: Path, tmp_path: Path) -> None:
    assert "not a catalogue" in refused("embed", model, tmp_path / "none", "--out", tmp_path / "v.parquet")


def test_index_says_what_it_built(built: Path, catalog: Path, tmp_path: Path, model: Path) -> None:
    result = item("index", tmp_path / "vectors.parquet", catalog, "--out", tmp_path / "second", "--json")
    assert json.loads(result.stdout) == {
        "out": str(tmp_path / "second"),
        "products": 4,
        "dimension": 16,
        "modalities": "both",
        "model": str(model),
        "fingerprint": "model",
    }
    assert len(ProductIndex.open(tmp_path / "second")) == 4


def test_index_refuses_what_exists_and_what_does_not(built: Path, catalog: Path, tmp_path: Path) -> None:
    assert "exists already" in refused("index", tmp_path / "vectors.parquet", catalog, "--out", built)
    assert "does not exist" in refused("index", tmp_path / "none", catalog, "--out", tmp_path / "second")


def test_an_update_says_what_differed(built: Path, model: Path, tmp_path: Path) -> None:
    rows = [Row("a", "red mug", RED, metadata={"price": 4}), Row("b", "blue mug", BLUE), Row("e", "jug")]
    write_catalog(tmp_path / "tonight", rows)
    item("embed", model, tmp_path / "tonight", "--out", tmp_path / "tonight.parquet")
    update = ("index", tmp_path / "tonight.parquet", tmp_path / "tonight", "--out", built, "--update")
    assert item(*update).stdout == f"3 products in {built}: 1 added, 1 changed, 2 removed, 1 unchanged.\n"
    again = json.loads(item(*update, "--json").stdout)
    assert again["products"] == 3
    assert again["changes"] == {"added": 0, "changed": 0, "unchanged": 3, "removed": 0}
    assert found(item("search", built, "--title", "jug", "--json"))[0]["id"] == "e"


def test_a_model_brings_an_index_up_to_date_without_a_file_of_vectors(built: Path, model: Path, tmp_path: Path) -> None:
    rows = [Row("a", "red mug", RED, metadata={"price": 4}), Row("b", "blue mug", BLUE), Row("e", "jug")]
    write_catalog(tmp_path / "tonight", rows)
    update = ("index", model, tmp_path / "tonight", "--out", built, "--update")
    assert item(*update).stdout == f"3 products in {built}: 1 added, 1 changed, 2 removed, 1 unchanged.\n"
    assert found(item("search", built, "--title", "jug", "--json"))[0]["id"] == "e"
    said = refused("index", model, tmp_path / "tonight", "--out", tmp_path / "second")
    assert "is a folder and no file of vectors; make one with `item embed`, or bring an index up to date" in said


def test_an_update_needs_an_index_of_the_same_model(built: Path, catalog: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    assert "is not an index" in refused("index", vectors, catalog, "--out", tmp_path / "none", "--update")
    (tmp_path / "other").mkdir()
    item("embed", tmp_path / "other", catalog, "--out", tmp_path / "other.parquet")
    assert "another model" in refused("index", tmp_path / "other.parquet", catalog, "--out", built, "--update")


def test_an_index_in_postgres_is_named_by_its_address(
    server: Server, catalog: Path, model: Path, tmp_path: Path
) -> None:
    url, vectors = server.schema(), tmp_path / "vectors.parquet"
    address = url.replace("user=postgres", "user=postgres&password=secret")
    item("embed", model, catalog, "--out", vectors)
    said = item("index", vectors, catalog, "--out", address)
    assert "".join(said.stdout.split()) == "".join(f"4 products in {url}.".split())
    query = ("search", address, "--title", "grun", "--where", "not price < 5", "--hybrid", "--json")
    assert found(item(*query))[0]["id"] == "c"
    assert "4 unchanged" in item("index", vectors, catalog, "--out", address, "--update").stdout
    message = refused("index", vectors, catalog, "--out", address)
    assert f"--out {url} exists already" in message
    assert "secret" not in message + said.output


def test_a_filter_leaves_only_what_it_holds_for(built: Path) -> None:
    where = ("search", built, "--title", "blue mug", "--json", "--where")
    assert [hit["id"] for hit in found(item(*where, "price < 5 and category = 'Kitchen > Mugs'"))] == ["a"]
    assert {hit["id"] for hit in found(item(*where, "not price < 5"))} == {"b", "c", "d"}
    assert found(item(*where, 'id in ("nobody")')) == []


def test_the_page_says_what_held(built: Path, tmp_path: Path) -> None:
    page = tmp_path / "hits.html"
    item("search", built, "--title", "blue mug", "--where", "price < 5", "--html", page)
    assert "The nearest 1 of 4 products where price &lt; 5" in page.read_text(encoding="utf8")


def test_the_page_shows_ids_and_what_the_index_keeps_beside_them(built: Path, tmp_path: Path) -> None:
    page = tmp_path / "hits.html"
    item("search", built, "--title", "red mug", "--html", page)
    text = page.read_text(encoding="utf8")
    assert [text.count(f">id {key}<") for key in "abcd"] == [1, 1, 1, 1]
    assert text.count("<dt>price</dt><dd>3</dd>") == 1


def test_a_wrong_filter_is_told_before_the_model_is_loaded(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_embedder", None)
    assert "at letter 9" in refused("search", built, "--title", "mug", "--where", "price < fifty")
    assert "no product has prise" in refused("search", built, "--title", "mug", "--where", "prise < 50")


def test_a_column_of_the_feed_that_is_empty_is_told_as_that(model: Path, tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_text("id,title,brand,size\n1,red mug,,big\n2,blue mug,,\n", encoding="utf8")
    prepare(tmp_path / "feed.csv", tmp_path / "mugs")
    item("embed", model, tmp_path / "mugs", "--out", tmp_path / "mugs.parquet")
    item("index", tmp_path / "mugs.parquet", tmp_path / "mugs", "--out", tmp_path / "of-mugs")
    said = refused("search", tmp_path / "of-mugs", "--title", "mug", "--where", 'brand = "Acme"')
    assert "the column brand is empty in every product; there are id, title, category, product_id, size" in said


def test_hybrid_finds_by_words_too(built: Path, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(BLUE)
    query = ("search", built, "--image", tmp_path / "query.jpg", "--title", "grun", "--json")
    hits = found(item(*query, "--hybrid"))
    assert hits[0]["id"] == "c"
    assert hits[0]["score"] <= 2 / 61
    assert "--title TEXT" in refused("search", built, "--image", tmp_path / "query.jpg", "--hybrid")


@pytest.mark.parametrize(("modalities", "other"), [("title", "image"), ("image", "title")])
def test_scores_across_modalities_are_refused(
    model: Path, catalog: Path, tmp_path: Path, modalities: str, other: str
) -> None:
    (tmp_path / "query.jpg").write_bytes(prepare_photo(BLUE).data)
    asked: dict[str, list[object]] = {
        "image": ["--image", tmp_path / "query.jpg"],
        "title": ["--title", "blue mug"],
    }
    item("embed", model, catalog, "--out", tmp_path / "v.parquet", "--modalities", modalities)
    item("index", tmp_path / "v.parquet", catalog, "--out", tmp_path / "one")
    assert found(item("search", tmp_path / "one", *asked[modalities], "--json"))[0]["id"] in {"b", "d"}
    for query in (asked[other], asked["title"] + asked["image"]):
        assert "--modalities both" in refused("search", tmp_path / "one", *query)


def test_what_cannot_be_written_is_refused_before_the_work(
    built: Path, model: Path, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was done")

    for place in ("item_embed.embedding.bulk.embed_shards", "item_embed.embedding.vectors.read_vectors"):
        monkeypatch.setattr(place, work)
    monkeypatch.setattr(ProductIndex, "search", work)
    out = tmp_path / "file" / "below"
    assert "cannot be written" in refused("embed", model, catalog, "--out", out)
    assert "cannot be written" in refused("index", tmp_path / "vectors.parquet", catalog, "--out", out)
    assert "cannot be written" in refused("search", built, "--title", "mug", "--html", out)
    assert "--html" in refused("search", built, "--title", "mug", "--html", built)


def test_a_page_may_be_replaced(built: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html>\nold")
    result = item("search", built, "--title", "red mug", "--html", tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf8")
    assert result.stdout.splitlines()[-1].endswith("page.html.")


def test_a_file_that_is_no_page_is_not_replaced(built: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("seeds: [0]")
    result = run("search", built, "--title", "red mug", "--html", tmp_path / "grid.yaml")
    assert result.exit_code == 1
    assert "is no HTML page; choose another name" in result.stderr
    assert (tmp_path / "grid.yaml").read_text() == "seeds: [0]"


def test_a_failing_page_takes_no_hits_away(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(search, "_write_page", fail)
    result = run("search", built, "--title", "red mug", "--html", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "Kitchen > Mugs" in result.stdout
