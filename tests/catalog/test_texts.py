import pickle

import numpy as np
import pyarrow as pa
import pytest

from item_embed.catalog.texts import Texts

_VALUES = ["red mug", None, "", "Tasse à café", "杯"]


@pytest.fixture
def texts() -> Texts[str | None]:
    whole = pa.array(_VALUES, pa.string())
    return Texts([pa.chunked_array([whole[:2], whole[2:4]]), pa.chunked_array([whole[4:]])])


def test_texts_read_like_a_list(texts: Texts[str | None]) -> None:
    assert len(texts) == 5
    assert [texts[i] for i in range(5)] == list(texts) == _VALUES
    assert texts[-1] == "杯"
    assert texts[1:4] == _VALUES[1:4]
    assert texts[:0] == []
    with pytest.raises(IndexError):
        texts[5]


def test_texts_equal_any_sequence_of_the_same(texts: Texts[str | None]) -> None:
    assert texts == _VALUES
    assert _VALUES == texts  # noqa: SIM300 - the other way round
    assert texts != _VALUES[:4]
    assert texts != [*_VALUES[:4], "mug"]
    assert texts != 5
    assert pickle.loads(pickle.dumps(texts)) == texts  # as worker processes get them where they are not forked


def test_texts_at_some_places(texts: Texts[str | None]) -> None:
    places = np.array([4, 0, 1, 4])
    assert texts.at(places) == [texts[place] for place in places.tolist()]
    assert texts.at(places[:0]) == []


def test_present_texts_are_neither_none_nor_empty(texts: Texts[str | None]) -> None:
    assert texts.present.tolist() == [True, False, False, True, True]
    assert Texts[str]([]).present.tolist() == []
