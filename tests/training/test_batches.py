from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.config import RunConfig
from item_embed.model.tokenizer import PAD
from item_embed.objectives.batch import PretrainingBatch
from item_embed.training.batches import PretrainingData, batches
from tests.catalogs import Row, write_catalog
from tests.tiny import pattern, shown_patches, tiny_catalog, tiny_config, tiny_processor, white_catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("batches") / "catalog")


def data_of(catalog: Catalog, config: RunConfig) -> PretrainingData:
    return PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)


def assert_same(a: PretrainingBatch, b: PretrainingBatch) -> None:
    assert a.views is None
    assert b.views is None
    for name, value in tensors(a).items():
        assert torch.equal(value, getattr(b, name)), name


def tensors(batch: PretrainingBatch) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(batch).items() if name != "views"}


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_row_comes_once_in_every_epoch(
    tmp_path_factory: pytest.TempPathFactory, size: int, count: int, seed: int
) -> None:
    catalog = write_catalog(
        tmp_path_factory.mktemp("order") / "catalog", [Row(str(i), f"title {i}") for i in range(count)]
    )
    steps = -(-3 * count // size)
    data = data_of(catalog, tiny_config(f"training.batch_size={size}", f"training.seed={seed}"))
    rows, epochs = (np.concatenate(x) for x in zip(*map(data.samples, range(steps)), strict=True))
    assert (np.diff(epochs) >= 0).all()  # a batch may hold the end of one epoch and the start of the next
    for epoch in range(3):
        assert sorted(rows[epochs == epoch].tolist()) == list(range(count))


def test_each_epoch_and_seed_has_an_order_of_its_own(catalog: Catalog) -> None:
    data, other = data_of(catalog, tiny_config()), data_of(catalog, tiny_config("training.seed=1"))
    first = np.concatenate([data.samples(step)[0] for step in range(4)])  # 4 x 8 = 32 rows: one epoch
    second = np.concatenate([data.samples(step)[0] for step in range(4, 8)])
    elsewhere = np.concatenate([other.samples(step)[0] for step in range(4)])
    assert (first != second).any()
    assert (first != elsewhere).any()
    assert (first != np.sort(first)).any()


def test_a_batch_is_a_function_of_its_step(catalog: Catalog) -> None:
    config = tiny_config("training.batch_size=12", "training.steps=8")  # 32 rows: epochs end inside batches
    whole = list(batches(data_of(catalog, config), 0))
    assert len(whole) == 8
    assert len(np.unique(data_of(catalog, config).samples(2)[1])) == 2
    for first in (1, 3, 7):
        late = list(batches(data_of(catalog, config), first))
        assert len(late) == 8 - first
        for (a,), (b,) in zip(whole[first:], late, strict=True):
            assert_same(a, b)
    assert list(batches(data_of(catalog, config), 8)) == []


def test_a_batch_takes_nothing_from_other_randomness(catalog: Catalog) -> None:
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        results.append(data_of(catalog, tiny_config())[2][0])
    assert_same(*results)


def test_parts_of_a_batch_are_its_rows_in_order(catalog: Catalog) -> None:
    (whole,) = data_of(catalog, tiny_config())[1]
    parts = data_of(catalog, tiny_config("training.accumulation=4"))[1]
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    width = whole.tokens.shape[1]
    padding = {"tokens": PAD, "input_ids": PAD, "token_padding": True, "masked_tokens": False}
    for name, value in tensors(whole).items():
        joined = [getattr(part, name) for part in parts]
        if name in padding:  # each part is as wide as its own longest title
            joined = [F.pad(x, (0, width - x.shape[1]), value=padding[name]) for x in joined]
        assert torch.equal(torch.cat(joined), value), name


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_prepare_the_same_batches(catalog: Catalog) -> None:
    here = list(batches(data_of(catalog, tiny_config("training.steps=4")), 1))
    there = list(batches(data_of(catalog, tiny_config("training.steps=4", "training.workers=2")), 1))
    for (a,), (b,) in zip(here, there, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("megabytes", [0, 1])
def test_photos_are_those_of_the_catalogue_cached_or_not(catalog: Catalog, megabytes: int) -> None:
    config = tiny_config(f"training.pixel_cache_mb={megabytes}")
    data = data_of(catalog, config)
    for _ in range(2):
        for step in range(4):
            rows, epochs = data.samples(step)
            (batch,) = data[step]
            for place, shown in enumerate(data.photo_rows(rows, epochs)):
                photo = catalog.photo(int(shown))
                expected = data.processor.pixels(None if photo is None else decode(photo))
                assert (batch.pixels[place].numpy() == expected).all()
                assert bool(batch.photo_missing[place]) == (photo is None)
                assert bool(batch.matched[place]) == (shown == rows[place])
                assert bool(batch.title_missing[place]) == (catalog.titles[rows[place]] is None)


def test_background_is_that_of_the_photo_shown_and_never_masked(tmp_path: Path) -> None:
    catalog = white_catalog(tmp_path / "catalog")
    data = data_of(catalog, tiny_config("model.background=drop", "training.batch_size=32"))
    rows, epochs = data.samples(0)
    (batch,) = data[0]
    for place, shown in enumerate(data.photo_rows(rows, epochs)):
        filled = shown_patches(int(shown)) if catalog.photo(int(shown)) else set()
        assert set((~batch.background[place]).nonzero().flatten().tolist()) == (filled or {0})
        if len(filled) > 1:
            assert int(batch.masked_patches[place].sum()) == (len(filled) + 1) // 2
    assert not (batch.masked_patches & batch.background).any()
    (kept,) = data_of(catalog, tiny_config())[0]
    assert not kept.background.any()


def many_rows() -> list[Row]:
    """Few titles in several spellings and few photos, so that most partners would be wrong ones."""
    spellings = ["Red mug", "red  MUG!", "Blue mug", "blue-mug", "Green mug", "green mug."]
    return [
        Row(
            str(i),
            title=None if i % 17 == 0 else spellings[i % 6],
            image=None if i % 13 == 0 else pattern(i % 4),
        )
        for i in range(120)
    ]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return write_catalog(tmp_path_factory.mktemp("crowded") / "catalog", many_rows())


def test_a_partner_never_has_an_equal_title_or_an_identical_photo(crowded: Catalog) -> None:
    config = tiny_config("objectives.mismatch_rate=0.9")
    data = data_of(crowded, config)
    mismatched = 0
    for epoch in range(20):
        rows = crowded.rows()
        for row, shown in zip(rows, data.photo_rows(rows, np.full(120, epoch)), strict=True):
            if row == shown:
                continue
            mismatched += 1
            title, other = crowded.titles[row], crowded.titles[shown]
            assert title is not None  # nothing to tell without a title
            assert crowded.photo(int(row)) is not None  # or without a photo
            assert normalise_title(title) != normalise_title(other or "")
            assert crowded.photo(int(shown)) is not None
            assert crowded.photo(int(shown)) != crowded.photo(int(row))
    assert mismatched > 1000


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_share_of_mismatched_pairs_is_the_rate(crowded: Catalog, rate: float) -> None:
    data = data_of(crowded, tiny_config(f"objectives.mismatch_rate={rate}"))
    rows = crowded.rows()
    both = data.has_photo & data.has_title
    shares = [(data.photo_rows(rows, np.full(120, epoch)) != rows)[both].mean() for epoch in range(60)]
    n = 60 * both.sum()
    assert abs(np.mean(shares) - rate) < 5 * np.sqrt(rate * (1 - rate) / n)


def test_partners_change_with_the_epoch_and_come_from_the_rows_given(crowded: Catalog) -> None:
    config = tiny_config("objectives.mismatch_rate=0.9")
    rows = crowded.rows()[:60]
    data = PretrainingData(crowded, rows, tiny_processor(crowded, config), config)
    partners = [data.photo_rows(rows, np.full(60, epoch)) for epoch in range(4)]
    assert all((a != b).mean() > 0.3 for a, b in pairwise(partners))
    assert max(map(max, partners)) < 60
    used = Counter(int(p) for shown in partners for p, row in zip(shown, rows, strict=True) if p != row)
    assert len(used) > 30


def test_pairs_depend_on_neither_order_nor_composition_of_the_batch(crowded: Catalog) -> None:
    data = data_of(crowded, tiny_config("objectives.mismatch_rate=0.5"))
    rows = crowded.rows()
    epochs = np.arange(120) % 3
    whole = data.photo_rows(rows, epochs)
    backwards = data.photo_rows(rows[::-1], epochs[::-1])[::-1]
    assert (whole == backwards).all()
    assert all(data.photo_rows(rows[i : i + 1], epochs[i : i + 1])[0] == whole[i] for i in range(0, 120, 7))


def test_a_catalogue_of_one_photo_stays_matched(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row(str(i), f"mug {i}", pattern(1)) for i in range(8)])
    data = data_of(catalog, tiny_config("objectives.mismatch_rate=0.9"))
    assert data[0][0].matched.all()


def test_a_catalogue_without_titles_or_without_photos_gives_batches(tmp_path: Path) -> None:
    photos = write_catalog(tmp_path / "photos", [Row(str(i), None, pattern(i)) for i in range(8)])
    titles = write_catalog(tmp_path / "titles", [Row(str(i), f"mug {i}") for i in range(8)])
    for catalog, expected in ((photos, {"mim", "gmim"}), (titles, {"mlm", "gmlm"})):
        (batch,) = next(iter(islice(batches(data_of(catalog, tiny_config()), 0), 1)))
        assert {name for name, count in batch.counts().items() if count} == expected
