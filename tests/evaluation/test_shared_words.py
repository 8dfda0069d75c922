from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.store import Catalog
from item_embed.evaluation.queries import catalog_queries, codes, given_queries
from item_embed.evaluation.shared_words import mask_shared_words
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.relistings import query, write_queries


def rows(titles: dict[str, list[str | None]]) -> list[Row]:
    """Listings by product; those of "" have none."""
    return [
        Row(f"{product}{n}", title, product_id=product or None, split="test" if n == 0 else "train")
        for product, listings in titles.items()
        for n, title in enumerate(listings)
    ]


def masked_titles(path: Path, titles: dict[str, list[str | None]]) -> list[str | None]:
    catalog = write_catalog(path, rows(titles))
    return list(mask_shared_words(catalog, catalog_queries(catalog)).catalog.titles)


def test_what_all_listings_share_goes_and_what_one_lacks_stays(tmp_path: Path) -> None:
    found = masked_titles(
        tmp_path / "c",
        {
            "hoodie": [
                "Teton Pullover Hoodie Black",
                "TETON hoodie, Pullover Black (new)",
                "Teton/Hoodie-Pullover's red",
            ],
            "pair": ["Chaz Hoodie", None, "hoodie chaz"],
            "lone": ["Chaz Hoodie", None],
            "single": ["Teton Hoodie"],
            "apart": ["blue mug", "red cup"],
            "": ["Chaz Hoodie", "Chaz Hoodie"],
        },
    )
    assert found[:3] == ["Black", "Black (new)", "s red"]
    assert found[3:6] == [None, None, None]
    assert found[6:8] == ["Chaz Hoodie", None]
    assert found[8:] == ["Teton Hoodie", "blue mug", "red cup", "Chaz Hoodie", "Chaz Hoodie"]


@pytest.mark.parametrize(
    ("titles", "left"),
    [
        (
            ["\N{FULLWIDTH LATIN SMALL LETTER X}L Width A", "xl width b"],
            ["A", "b"],
        ),  # equal as `item prepare` compares titles
        (["Straße 1", "STRASSE 2"], ["1", "2"]),
        (["AX_100 red", "ax-100 blue"], ["red", "blue"]),
        (["mug", "mugs"], ["mug", "mugs"]),
        (["3.5 mm-jack", "jack; 3 mm"], ["5", None]),
        (["a-b-c x", "b y"], ["a--c x", "y"]),
        (["हिन्दी किताब लाल", "हरी किताब हिन्दी"], ["लाल", "हरी"]),  # vowels are marks
        (["कमल काला", "काम कीमत"], ["कमल काला", "काम कीमत"]),
    ],
)
def test_words(tmp_path: Path, titles: list[str | None], left: list[str | None]) -> None:
    assert masked_titles(tmp_path / "c", {"p": titles}) == left


def test_names_are_the_shared_words_that_no_other_product_has(tmp_path: Path) -> None:
    titles: dict[str, list[str | None]] = {"p": ["Teton Hoodie red", "Hoodie TETON blue"], "q": ["Chaz hoodie", "Chaz"]}
    catalog = write_catalog(tmp_path / "c", rows({**titles, "": ["a red cup"]}))
    masked = {which: mask_shared_words(catalog, catalog_queries(catalog), which) for which in ("names", "all")}
    assert masked["names"].catalog.titles == ["Hoodie red", "Hoodie blue", "hoodie", None, "a red cup"]
    assert masked["all"].catalog.titles == ["red", "blue", "hoodie", None, "a red cup"]


def test_queries_are_rows_under_the_same_titles(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "c", rows({"p": ["red mug", "blue mug"], "q": ["a cup", "a cup"], "r": ["x"]}))
    queries = catalog_queries(catalog, "test")
    found = mask_shared_words(catalog, queries)
    assert found.queries.titles == ["red", None]
    assert found.catalog.titles == ["red", "blue", None, None, "x"]
    assert found.as_json() == {"titles": 5, "changed": 4, "words_before": 2.0, "words_left": 0.5, "emptied": 2}
    remark = (
        "Shared words are masked: 4 of 5 titles lost the words that all listings of their product have; of 2.0 words "
        "on average 0.5 are left, none in 2."
    )
    assert found.queries.remarks == (*queries.remarks, remark)
    assert (found.queries.rows == queries.rows).all()
    assert (queries.titles, catalog.titles[0]) == (["red mug", "a cup"], "red mug")


def test_given_queries_are_listings_of_the_product_of_their_rows(tmp_path: Path) -> None:
    catalog = write_catalog(
        tmp_path / "c",
        rows({"p": ["red Acme mug", "blue Acme mug"], "": ["old tin cup", "tin"], "q": ["Acme", "a Acme"]}),
    )
    asked = [
        query("p0", title="new mug, red", image=photo((1, 2, 3))),
        query("0", title="a CUP of tin"),
        query("p1", title=None),
    ]
    queries = given_queries(write_queries(tmp_path / "q.parquet", asked), catalog)
    found = mask_shared_words(catalog, queries)
    assert found.catalog.titles == ["red Acme", "blue Acme", "old", "tin", None, "a"]
    assert found.queries.titles == ["new red", "a of", None]
    assert found.queries.photo(0) == queries.photo(0)
    assert (found.titles, found.changed, found.emptied) == (8, 7, 1)
    assert "7 of 8 titles, those of the queries included, lost" in found.queries.remarks[-1]


def test_nothing_in_common(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "c", rows({"p": ["red mug", "cup"]}))
    found = mask_shared_words(catalog, catalog_queries(catalog))
    assert found.catalog.titles == catalog.titles
    assert found.as_json() == {"titles": 2, "changed": 0, "words_before": 0.0, "words_left": 0.0, "emptied": 0}
    assert found.queries.remarks[-1].endswith("0 of 2 titles lost the words that all listings of their product have.")


WORDS = st.lists(st.sampled_from(["red", "Red", "mug", "AX-1", "x", "&", "été"]), max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return write_catalog(tmp_path_factory.mktemp("listings") / "c", [Row(f"{n}", product_id="p") for n in range(8)])


def words(title: str | None) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in (title or "").casefold()).split()


@settings(max_examples=60)
@given(titles=st.lists(st.none() | WORDS, min_size=8, max_size=8), products=st.lists(st.integers(0, 3), min_size=8))
def test_no_word_is_left_that_all_titles_of_a_product_have(
    catalog: Catalog, titles: list[str | None], products: list[int]
) -> None:
    titles = [title or None for title in titles]
    listings = codes(products[:8])
    queries = replace(catalog_queries(catalog), titles=titles, listings=listings)
    found = mask_shared_words(catalog.with_titles(titles), queries)
    assert found.queries.titles == list(found.catalog.titles)
    of_product: dict[int, list[tuple[list[str], list[str]]]] = defaultdict(list)
    for product, old, new in zip(listings.tolist(), titles, found.catalog.titles, strict=True):
        if old is not None:
            of_product[product].append((words(old), words(new)))
    for pairs in of_product.values():
        shared = set.intersection(*(set(before) for before, _ in pairs)) if len(pairs) > 1 else set()
        assert all(after == [word for word in before if word not in shared] for before, after in pairs)
