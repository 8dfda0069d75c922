import numpy as np
import pytest

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.samples import Samples, processor_of, rows_with
from tests.evaluation.learners.made import material


def test_photos_are_those_that_item_sees_the_second_time_too(catalog: Catalog) -> None:
    given = material(catalog)
    samples = Samples(given, given.rows, processor_of(given))
    expected = [
        samples.processor.pixels(None if photo is None else decode(photo)) for photo in catalog.photos(given.rows)
    ]
    for _ in range(2):
        np.testing.assert_array_equal(samples.photos(given.rows), np.stack(expected))


def test_photos_are_decoded_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    given = material(catalog)
    samples = Samples(given, given.rows, processor_of(given))
    samples.photos(given.rows)
    monkeypatch.setattr(Catalog, "photo", lambda *_: pytest.fail("a photo was read again"))
    samples.photos(given.rows[::-1])


def test_photos_are_augmented_where_item_does_and_there_is_one(catalog: Catalog) -> None:
    given = material(catalog, "augmentation.mirror=1", "augmentation.brightness=0.5")
    samples = Samples(given, given.rows, processor_of(given))
    changed, plain = samples.augmented(given.rows, np.zeros(len(given.rows), np.int64)), samples.photos(given.rows)
    same = (changed == plain).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, ~catalog.has_photo[given.rows])


def test_tokens_are_those_of_the_rows(catalog: Catalog) -> None:
    given = material(catalog)
    samples = Samples(given, given.rows, processor_of(given))
    tokens = samples.tokens(np.array([4, 5]))  # the latter has no title
    assert (~tokens.padding).sum(axis=1)[1] == 2
    assert tokens.ids[0].tolist() == given.tokenizer.encode(catalog.titles[4] or "").ids


def test_rows_with_what_is_asked_for(catalog: Catalog) -> None:
    given = material(catalog)
    rows = set(range(32))
    without_title, without_photo = {i for i in rows if i % 11 == 5}, {i for i in rows if i % 7 == 3}
    assert set(rows_with(given, photo=True)) == rows - without_photo
    assert set(rows_with(given, title=True)) == rows - without_title
    assert set(rows_with(given, photo=True, title=True)) == rows - without_photo - without_title
