import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.config import RunConfig
from item_embed.objectives.batch import BOTH, PHOTO_ALONE, TITLE_ALONE, Views
from item_embed.training.batches import PretrainingData
from tests.tiny import SIZE, tiny_catalog, tiny_config, tiny_processor

ON = "objectives.weights.agreement=1"
UNCHANGED = ("objectives.agreement.photo_change=0", "objectives.agreement.title_change=0")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("views") / "catalog")


def data_of(catalog: Catalog, *overrides: str) -> PretrainingData:
    config: RunConfig = tiny_config(ON, *overrides)
    return PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)


def views_of(data: PretrainingData, rows: np.ndarray, epoch: int = 0) -> Views:
    views = data.batch(rows, np.full_like(rows, epoch)).views
    assert views is not None
    return views


def test_there_are_views_only_where_agreement_has_a_weight(catalog: Catalog) -> None:
    config = tiny_config()
    data = PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)
    (batch,) = data[0]
    assert batch.views is None
    assert "agreement" not in batch.counts()
    (batch,) = data_of(catalog)[0]
    assert batch.counts()["agreement"] == 16


def test_a_view_shows_what_its_kind_says_and_the_product_has(catalog: Catalog) -> None:
    rows = catalog.rows("train")
    views = views_of(data_of(catalog), rows)
    b = len(rows)
    assert {BOTH, PHOTO_ALONE, TITLE_ALONE} == set(views.kinds.tolist())
    for place, row in enumerate(rows):
        kind = int(views.kinds[place])
        if not catalog.has_photo[row]:
            assert kind == TITLE_ALONE
        if not catalog.titles.present[row]:
            assert kind == PHOTO_ALONE
        for view in (place, b + place):
            assert bool(views.photo_missing[view]) == (kind == TITLE_ALONE)
            words = int((~views.token_padding[view]).sum()) - 2
            assert (words == 0) == (kind == PHOTO_ALONE)


def test_shares_are_those_of_the_settings(catalog: Catalog) -> None:
    data = data_of(catalog, "objectives.agreement.shares=[0.2, 0.7, 0.1]")
    whole = catalog.rows("train")
    whole = whole[catalog.has_photo[whole] & catalog.titles.present[whole]]
    assert data._views is not None
    kinds = np.concatenate([data._views.kinds(whole, np.full_like(whole, epoch)) for epoch in range(200)])
    np.testing.assert_allclose(np.bincount(kinds) / len(kinds), [0.2, 0.7, 0.1], atol=0.03)


def test_views_are_functions_of_seed_epoch_and_row(catalog: Catalog) -> None:
    data, rows = data_of(catalog), catalog.rows("train")
    all_at_once = views_of(data, rows)
    for place in (0, 3, 17):
        alone = views_of(data, rows[place : place + 1])
        for view, there in ((0, place), (1, len(rows) + place)):
            assert torch.equal(alone.pixels[view], all_at_once.pixels[there])
            words = ~alone.token_padding[view]
            assert torch.equal(
                alone.input_ids[view][words], all_at_once.input_ids[there][~all_at_once.token_padding[there]]
            )
        assert int(alone.kinds[0]) == int(all_at_once.kinds[place])
    again, later = views_of(data, rows), views_of(data, rows, epoch=1)
    assert torch.equal(again.pixels, all_at_once.pixels)
    assert not torch.equal(later.pixels, all_at_once.pixels)
    other = views_of(data_of(catalog, "training.seed=1"), rows)
    assert not torch.equal(other.pixels, all_at_once.pixels)


def test_the_two_views_of_a_product_differ(catalog: Catalog) -> None:
    rows = catalog.rows("train")
    views = views_of(data_of(catalog), rows)
    first, second = views.pixels.chunk(2)
    pictured = ~views.photo_missing[: len(rows)]
    assert (first[pictured] != second[pictured]).flatten(1).any(dim=1).all()


def test_unchanged_views_are_the_product(catalog: Catalog) -> None:
    rows, data = catalog.rows("train"), data_of(catalog, *UNCHANGED)
    views = views_of(data, rows)
    photo = np.empty((3, *SIZE), np.uint8)
    expected = data.processor.tokenize([catalog.titles[int(row)] for row in rows])
    for place, row in enumerate(rows):
        if not views.photo_missing[place]:
            data.show(int(row), photo)
            assert torch.equal(views.pixels[place], torch.from_numpy(photo))
        if int(views.kinds[place]) != PHOTO_ALONE:
            shown = views.input_ids[place][~views.token_padding[place]]
            assert shown.tolist() == expected.ids[place][~expected.padding[place]].tolist()


def test_what_is_kept_of_photos_is_never_the_changed_one(catalog: Catalog) -> None:
    rows, data = catalog.rows("train"), data_of(catalog)
    views_of(data, rows)  # fills the cache of photos
    kept, fresh = np.empty((2, 3, *SIZE), np.uint8)
    for row in rows:
        data.show(int(row), kept)
        data_of(catalog).show(int(row), fresh)
        assert (kept == fresh).all()


def test_how_a_photo_is_changed_says_nothing_of_how_the_title_is(catalog: Catalog) -> None:
    """The two are drawn apart: were they not, a view would be changed much in both or little in both."""
    data = data_of(catalog, "objectives.agreement.shares=[1, 0, 0]")
    whole = catalog.rows("train")
    whole = whole[catalog.has_photo[whole] & catalog.titles.present[whole]]
    photo, words = np.empty((3, *SIZE), np.uint8), data.processor.tokenize([catalog.titles[int(row)] for row in whole])
    moved, left = [], []
    for epoch in range(60):
        views = views_of(data, whole, epoch)
        for place, row in enumerate(whole):
            data.show(int(row), photo)
            moved.append(np.abs(views.pixels[place].numpy().astype(float) - photo).mean())
            left.append(int((~views.token_padding[place]).sum()) / int((~words.padding[place]).sum()))
    assert abs(np.corrcoef(moved, left)[0, 1]) < 0.1


def test_nothing_is_masked_where_no_task_asks(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    data, shown = data_of(catalog, "objectives.weights={itm: 0, mlm: 0, mim: 0, gmlm: 0, gmim: 0, agreement: 1}"), []
    assert data._views is not None
    monkeypatch.setattr(data._views, "show", lambda row, out: shown.append(row))
    monkeypatch.setattr(data, "show", lambda row, out: pytest.fail("a masked photo was made"))
    batch = data.batch(data.rows, np.zeros_like(data.rows))
    assert batch.matched.all()
    assert len(shown) == len(set(shown))  # a photo is decoded once for both views


def test_equal_titles_and_photos_have_equal_codes(catalog: Catalog) -> None:
    rows = catalog.rows("train")
    views = views_of(data_of(catalog), rows)
    titles = [normalise_title(catalog.titles[int(row)] or "") for row in rows]
    for i in range(len(rows)):
        for k in range(len(rows)):
            same_title = titles[i] == titles[k]
            assert bool(views.title_codes[i] == views.title_codes[k]) == same_title
            same_photo = catalog.photo_pixels[rows[i]] == catalog.photo_pixels[rows[k]]
            assert bool(views.photo_codes[i] == views.photo_codes[k]) == bool(same_photo)


def test_held_out_rows_are_measured_on_views_of_their_own(catalog: Catalog) -> None:
    rows, data = catalog.rows("train"), data_of(catalog)
    held_out = views_of(data, rows, epoch=-1)
    assert not torch.equal(held_out.pixels, views_of(data, rows).pixels)
