import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from item_embed.catalog.photos.images import prepare_photo
from item_embed.catalog.references import rows_of_items
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.queries import QUERY_COLUMNS, SIMULATED, QuerySet, few_remark, given_queries, subset
from item_embed.evaluation.relisting import KINDS, relisted_queries, write_queries
from item_embed.evaluation.run import evaluate_simple
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.fakes import jpeg, shop, thing


def saved(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


#: Photos of every kind that a catalogue keeps, and the smallest and longest of them.
PHOTOS = {
    "thing": jpeg(thing((200, 30, 40))),
    "grey": saved(thing((90, 90, 90)).convert("L"), "JPEG"),
    "transparent": saved(thing((90, 20, 90)).convert("RGBA").rotate(20), "WEBP"),
    "small": photo((10, 20, 30), (8, 8)),
    "tall": photo((10, 20, 30), (8, 2000)),
    "wide": photo((10, 20, 30), (2000, 8)),
    "large": photo((10, 20, 30), (256, 300)),
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three listings of a mug in one group; a group each for a plate, what has no title, no photo, and the rest."""
    rows = [
        Row("mug 1", "Acme red mug", PHOTOS["thing"], product_id="mug", group=0, split="test"),
        Row("mug 2", "a red mug", product_id="mug", group=0, split="test"),
        Row("mug 3", "red mug by Acme", PHOTOS["grey"], product_id="mug", group=0, split="test"),
        Row("plate", "blue plate of porcelain", PHOTOS["small"], split="test"),
        Row("untitled", None, PHOTOS["transparent"], split="test"),
        Row("unseen", "a very fine spoon", split="test"),
        *(Row(name, f"a {name} one", data) for name, data in PHOTOS.items()),
    ]
    return write_catalog(tmp_path / "catalog", rows)


def many(path: Path, count: int = 400) -> Catalog:
    return write_catalog(path, [Row(f"item {n}", f"red mug number {n}", split="test") for n in range(count)])


def photos(queries: QuerySet) -> list[bytes | None]:
    return [queries.photo(number) for number in range(len(queries))]


def test_relistings_are_of_different_groups_and_rows_with_both_come_first(catalog: Catalog) -> None:
    drawn = [relisted_queries(catalog, 3, seed=seed).ids for seed in range(20)]
    for ids in drawn:
        assert len({catalog.groups[catalog.ids.index(key)] for key in ids}) == 3
        assert len({"mug 1", "mug 3", "plate"} & set(ids)) == 2
        assert "mug 2" not in ids
    assert {key for ids in drawn for key in ids} == {"mug 1", "mug 3", "plate", "untitled", "unseen"}


def test_a_smaller_number_makes_a_part_of_a_larger_one(catalog: Catalog) -> None:
    more = relisted_queries(catalog, 8, split="all")
    for count in range(1, 8):
        fewer = relisted_queries(catalog, count, split="all")
        assert len(fewer) == count
        part = subset(more, np.array([more.ids.index(key) for key in fewer.ids]))
        assert (fewer.titles, fewer.columns, photos(fewer)) == (part.titles, part.columns, photos(part))
        assert fewer.rows.tolist() == sorted(fewer.rows.tolist())


def test_right_are_the_row_and_its_products_other_listings(catalog: Catalog) -> None:
    queries = relisted_queries(catalog, 4)
    assert (queries.protocol, queries.split, queries.excluded) == ("relistings", "test", None)
    mug = next(number for number, key in enumerate(queries.ids) if "mug" in key)
    plate = queries.ids.index("plate")
    assert queries.relevant[mug] == 3
    assert queries.relevant[plate] == 1
    ranked = np.tile(np.array([0, 1, 2, 3, -1]), (4, 1))
    assert queries.is_right(ranked)[mug].tolist() == [True, True, True, False, False]
    assert queries.is_right(ranked)[plate].tolist() == [False, False, False, True, False]
    assert len(set(queries.products.tolist())) == 4


def test_what_is_missing_stays_missing_and_the_rest_is_changed(catalog: Catalog) -> None:
    queries = relisted_queries(catalog, 99, split="all")
    for number, (row, title) in enumerate(zip(queries.rows, queries.titles, strict=True)):
        before, after = catalog.photo(int(row)), queries.photo(number)
        assert (before is None) == (after is None)
        assert (catalog.titles[int(row)] is None) == (title is None)
        if after is not None:
            assert after != before
            image = Image.open(io.BytesIO(after))
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert prepare_photo(after).data == after  # a catalogue would keep it as it is


def test_a_relisting_is_a_function_of_the_seed_and_the_id(tmp_path: Path, catalog: Catalog) -> None:
    queries = relisted_queries(catalog, 10, split="all")
    expected = photos(queries)
    assert [queries.photo(number) for number in reversed(range(10))] == expected[::-1]
    other = relisted_queries(catalog, 10, split="all", seed=1)
    for key in sorted(set(queries.ids) & set(other.ids) - {"unseen"}):
        here, there = queries.ids.index(key), other.ids.index(key)
        if queries.columns["kind"][here] == other.columns["kind"][there]:
            assert queries.photo(here) != other.photo(there)
    lone = write_catalog(tmp_path / "lone", [Row("thing", "a thing one", PHOTOS["thing"])])
    alone = relisted_queries(lone, 1, split="all")
    number = queries.ids.index("thing")
    assert (alone.titles[0], alone.photo(0)) == (queries.titles[number], expected[number])


def test_another_process_makes_the_same_relistings(catalog: Catalog) -> None:
    code = (
        "import hashlib, sys; from item_embed.catalog.store import Catalog\n"
        "from item_embed.evaluation.relisting import relisted_queries\n"
        f"q = relisted_queries(Catalog({str(catalog.path)!r}), 10, split='all')\n"
        "print(hashlib.sha256(b''.join([repr((q.ids, q.titles, q.columns)).encode(), "
        "*(q.photo(n) or b'' for n in reversed(range(10)))])).hexdigest(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    queries = relisted_queries(catalog, 10, split="all")
    made = [repr((queries.ids, queries.titles, queries.columns)).encode()]
    made += [queries.photo(number) or b"" for number in reversed(range(10))]
    assert done.stdout.split() == [hashlib.sha256(b"".join(made)).hexdigest(), "False"]


def test_half_are_of_each_kind(tmp_path: Path) -> None:
    queries = relisted_queries(many(tmp_path / "many"), 400)
    kinds = queries.columns["kind"]
    assert set(kinds) == set(KINDS) == {"reshot", "restaged"}
    assert 160 < kinds.count("reshot") < 240
    assert sum(title != f"red mug number {row}" for title, row in zip(queries.titles, queries.rows, strict=True)) > 300


def test_every_result_is_labelled_as_simulated(tmp_path: Path, catalog: Catalog) -> None:
    assert relisted_queries(many(tmp_path / "many"), 10).remarks == (SIMULATED,)
    assert relisted_queries(catalog, 4).remarks == (SIMULATED, "Only 4 queries: the figures say little.")
    assert SIMULATED.startswith("Simulated relistings: ")
    assert SIMULATED.count(".") == 1


def test_fewer_groups_than_asked_for_are_told(tmp_path: Path, catalog: Catalog) -> None:
    assert relisted_queries(catalog, 500).remarks[1] == (
        "4 of 500 relistings could be made: the test split has no more groups."
    )
    assert relisted_queries(many(tmp_path / "many", 12), 1200, split="all").remarks == (
        SIMULATED,
        "12 of 1,200 relistings could be made: the catalogue has no more groups.",
    )


def test_what_cannot_be_asked_for_is_one_sentence(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"validation split .* use --split all\.$"):
        relisted_queries(catalog, 5, split="validation")
    with pytest.raises(CatalogError, match="no split 'last'"):
        relisted_queries(catalog, 5, split="last")
    for count in (0, -1):
        with pytest.raises(ConfigError, match=f"{count} relistings cannot be made; ask for one or more"):
            relisted_queries(catalog, count)
    bare = write_catalog(tmp_path / "bare", [Row("a"), Row("b")])
    with pytest.raises(CatalogError, match="prepare the catalogue from a feed that has them"):
        relisted_queries(bare, 5, split="all")


def test_a_damaged_photo_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    damaged = write_catalog(tmp_path / "damaged", [Row("a", "red mug", b"no photo", split="test")])
    queries = relisted_queries(damaged, 1)
    with pytest.raises(CatalogError, match=r"photo of 'a' .* not a readable image; prepare"):
        queries.photo(0)


def test_an_empty_split_is_one_sentence(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row("a", "mug")])
    with pytest.raises(CatalogError, match=r"the test split of .* is empty.*use --split all\.$"):
        relisted_queries(catalog, 3)


def test_relistings_that_were_written_are_read_as_they_were(tmp_path: Path, catalog: Catalog) -> None:
    queries = relisted_queries(catalog, 99, split="all")
    path = tmp_path / "relistings.parquet"
    write_queries(path, queries, catalog)
    found = given_queries(path, catalog)
    assert (found.protocol, found.leave_out) == ("relistings", False)
    assert found.remarks == (SIMULATED, *few_remark(len(found)))
    assert (found.ids, found.titles, found.columns) == (queries.ids, queries.titles, queries.columns)
    assert photos(found) == photos(queries)
    assert found.rows.tolist() == queries.rows.tolist()
    assert found.listings.tolist() == queries.listings.tolist()
    assert len(set(zip(found.products, queries.products, strict=True))) == len(set(queries.products.tolist()))
    assert len(set(found.products.tolist())) == len(set(queries.products.tolist()))


def test_a_file_of_queries_has_the_columns_of_one_and_names_what_training_leaves_out(
    tmp_path: Path, catalog: Catalog
) -> None:
    queries = relisted_queries(catalog, 4)
    path = tmp_path / "relistings.parquet"
    write_queries(path, queries, catalog)
    table = pq.read_table(path)
    assert table.column_names == [*QUERY_COLUMNS, "kind"]
    assert set(table["product_id"].to_pylist()) == {"mug", None}
    assert rows_of_items(path, catalog, "--exclude-groups").tolist() == queries.rows.tolist()


def test_files_larger_than_a_block_are_whole(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.evaluation.relisting._BLOCK", 3)
    queries = relisted_queries(catalog, 10, split="all")
    write_queries(tmp_path / "q.parquet", queries, catalog)
    found = given_queries(tmp_path / "q.parquet", catalog)
    assert (found.titles, photos(found)) == (queries.titles, photos(queries))


def test_products_are_found_by_their_relistings_but_not_always(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "shop")
    queries = relisted_queries(catalog, 12, split="all")
    found = {one.method: one.metrics.hit_at_1.mean() for one in evaluate_simple(["tfidf", "pixels"], catalog, queries)}
    assert found["tfidf"] > 0.6
    assert 0.2 < found["pixels"] <= 1
