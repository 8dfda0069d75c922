from pathlib import Path

import pytest

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation import relisting
from item_embed.evaluation.asked import Asked
from tests.evaluation.fakes import shop
from tests.evaluation.relistings import query, write_queries


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def test_one_of_three_is_asked(catalog: Catalog, tmp_path: Path) -> None:
    file = write_queries(tmp_path / "queries.parquet", [query("mug 0", title="mug")])
    assert Asked(file=file).queries(catalog).ids == ["again mug 0"]
    assert Asked(relist=2, split="all").queries(catalog).protocol == "relistings"
    assert len(Asked(split="all").queries(catalog)) == 24


def test_relistings_are_rendered_when_they_are_kept_and_no_more(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(relist=40).kept_in(tmp_path)
    made = asked.queries(catalog)
    photos = [made.photo(number) for number in range(len(made))]
    asked.keep(catalog)
    monkeypatch.setattr(relisting, "_relisted_photo", lambda *_: pytest.fail("a photo was rendered"))
    kept = asked.queries(catalog)
    assert [kept.photo(number) for number in range(len(kept))] == photos
    assert (kept.split, kept.remarks, kept.columns) == ("test", made.remarks, made.columns)
    assert any("of 40 relistings could be made: the test split" in remark for remark in kept.remarks)
    assert asked.identity() == Asked(relist=40).identity()


def test_other_queries_need_no_file(catalog: Catalog, tmp_path: Path) -> None:
    Asked(split="all").kept_in(tmp_path / "out").keep(catalog)
    assert not (tmp_path / "out").exists()


def test_equal_queries_have_one_identity(tmp_path: Path) -> None:
    one, other = (
        write_queries(tmp_path / f"{title}.parquet", [query("mug 0", title=title)]) for title in ("mug", "cup")
    )
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(one.read_bytes())
    assert Asked(file=one).identity() == Asked(file=copy).identity() != Asked(file=other).identity()
    differing = [Asked(), Asked(split="all"), Asked(relist=5), Asked(relist=6), Asked(relist=5, seed=1)]
    assert len({str(asked.identity()) for asked in differing}) == len(differing)


def test_what_cannot_be_asked_is_said(tmp_path: Path) -> None:
    unlabelled = shop(tmp_path / "unlabelled", labels=False)
    with pytest.raises(CatalogError, match="no same-product labels"):
        Asked(split="all").queries(unlabelled)
    nowhere, sentence = Asked(file=tmp_path / "none"), r"--queries .*none does not exist or is no file; give a Parquet"
    with pytest.raises(ConfigError, match=sentence):
        nowhere.queries(unlabelled)
    with pytest.raises(ConfigError, match=sentence):
        nowhere.identity()
