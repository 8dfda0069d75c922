from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from item_embed.errors import VectorError
from item_embed.files import OutputError
from item_embed.search.duplicates.judged import read_judged
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings, Variants
from item_embed.search.duplicates.snapshot import open_vectors, take_snapshot
from item_embed.search.index import ProductIndex
from item_embed.serving import review
from item_embed.serving.review import AskedPair, Review
from tests.catalogs import Row
from tests.search.duplicates.made import groups, make_index

PAIR, OTHER = AskedPair("k", ("a", 'b, "c"'), 0.9, 4, 11), AskedPair("l", ("é", "=1+1"), 0.8, 1, 5)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("review"), groups(12, 3))


@pytest.fixture(scope="module")
def duplicates(index: ProductIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("found") / "out"
    find_duplicates(index, out, Settings(sample=10))
    return out


def test_answers_are_read_by_item_duplicates(index: ProductIndex, duplicates: Path, tmp_path: Path) -> None:
    opened = Review.open(duplicates, index)
    assert len(opened) == 36  # three pairs of each product
    assert len({pair.key for pair in opened.pairs}) == 36
    for place, pair in enumerate(opened.pairs[:20]):
        opened.say(pair, "no" if place % 5 == 4 else "yes")
    file = duplicates / "answers.csv"
    snapshot = take_snapshot(index)
    judged = read_judged(file, "--answers", snapshot, open_vectors(index, snapshot, tmp_path / "vectors.npy"))
    assert [place % 5 != 4 for place in range(20)] == judged.same.tolist()
    strata = [pair.stratum for pair in opened.pairs[:20]]
    weights = [pair.stratum_pairs / strata.count(pair.stratum) for pair in opened.pairs[:20]]
    assert judged.weight.tolist() == pytest.approx(weights)
    assert judged.pairs.cosine.tolist() == pytest.approx([pair.cosine for pair in opened.pairs[:20]], abs=1e-6)
    again = Review.open(duplicates, index)
    assert again.pairs == opened.pairs
    assert [again.answer(pair) for pair in again.pairs] == [opened.answer(pair) for pair in opened.pairs]
    assert again.answered == 20


COLOURS = ("red", "red", "blue", "blue", None)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    """Products of five listings each: two red, two blue, one that does not say."""
    rows = [Row(f"id {n}", f"mug {n}", metadata={"colour": COLOURS[n % 5]}) for n in range(20)]
    return make_index(tmp_path_factory.mktemp("coloured"), groups(4, 5), rows)


def differing(pairs: Sequence[AskedPair]) -> set[frozenset[str]]:
    """The pairs that have two colours, by what the rows say."""
    return {
        frozenset(pair.ids)
        for pair in pairs
        if {COLOURS[int(key.split()[1]) % 5] for key in pair.ids} == {"red", "blue"}
    }


@pytest.mark.parametrize("way", [{"sample": 10}, {"threshold": 0.9}], ids=["sample", "clusters"])
def test_variants_that_are_different_products_are_not_asked(
    coloured: ProductIndex, tmp_path: Path, way: dict[str, Any]
) -> None:
    apart = Settings(**way, variants=Variants("colour", same=False))
    find_duplicates(coloured, tmp_path / "out", apart)
    opened = Review.open(tmp_path / "out", coloured)
    assert opened.variants == Variants("colour", same=False)
    assert len(opened) == 4 * (10 - 4)  # of ten pairs of a product four have two colours
    assert not differing(opened.pairs)
    assert not any(pair.variants for pair in opened.pairs)
    in_strata = Counter(pair.stratum for pair in opened.pairs)
    assert all(pair.stratum_pairs == in_strata[pair.stratum] for pair in opened.pairs)


def test_variants_that_are_the_same_product_are_asked_and_told(coloured: ProductIndex, tmp_path: Path) -> None:
    find_duplicates(coloured, tmp_path / "out", Settings(threshold=0.9, variants=Variants("colour", same=True)))
    opened = Review.open(tmp_path / "out", coloured)
    assert opened.variants == Variants("colour", same=True)
    assert len(opened) == 4 * 10
    assert {frozenset(pair.ids) for pair in opened.pairs if pair.variants} == differing(opened.pairs) != set()


def test_without_variants_none_are_told(duplicates: Path, index: ProductIndex) -> None:
    opened = Review.open(duplicates, index)
    assert opened.variants is None
    assert not any(pair.variants for pair in opened.pairs)


UNKNOWN_RULE = '{"variants": {"column": "colour", "are": "alike"}}'


def test_a_damaged_folder_is_refused(duplicates: Path, index: ProductIndex, tmp_path: Path) -> None:
    copytree(duplicates, tmp_path / "out")
    for content in ("", "[]", '{"variants": 3}', '{"variants": {"column": "colour"}}', UNKNOWN_RULE):
        (tmp_path / "out/duplicates.json").write_text(content)
        with pytest.raises(VectorError, match="run `item duplicates` again"):
            Review.open(tmp_path / "out", index)


def test_pairs_of_what_is_gone_are_not_asked(tmp_path: Path) -> None:
    vectors = groups(4, 2)
    whole = make_index(tmp_path, vectors)
    find_duplicates(whole, tmp_path / "out", Settings(threshold=0.9))
    whole.delete(["id 0"])
    assert {key for pair in Review.open(tmp_path / "out", whole).pairs for key in pair.ids} == {
        f"id {number}" for number in range(2, 8)
    }


def test_duplicates_of_another_index_are_refused(duplicates: Path, tmp_path: Path) -> None:
    other = make_index(tmp_path, groups(1, 2), [Row("x", "mug"), Row("y", "mug")])
    with pytest.raises(VectorError, match="run `item duplicates` on this index"):
        Review.open(duplicates, other)


def test_an_answer_can_be_changed_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    made = Review([PAIR, OTHER], file)
    for answer in ("yes", "no", "unsure", None, "yes"):
        made.say(PAIR, answer)
        assert made.answer(PAIR) == Review([PAIR], file).answer(PAIR) == answer
    made.say(OTHER, "no")
    assert Review([PAIR, OTHER], file).answered == 2
    assert made.pair("l") == OTHER
    assert made.pair("none") is None


def test_answers_of_other_pairs_stay(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("\ufeffid,other_id,same,stratum,stratum_pairs\r\nx,y,unsure,2,9\r\na,z,yes\r\n", encoding="utf8")
    made = Review([PAIR], file)
    assert made.answer(AskedPair("m", ("x", "y"), 0.9, 2, 9)) == "unsure"
    assert made.answer(AskedPair("n", ("x", "z"), 0.9, 2, 9)) is None
    made.say(PAIR, "no")
    lines = file.read_text(encoding="utf8").splitlines()
    assert lines[1:] == ["x,y,unsure,2,9", "a,z,yes,,", 'a,"b, ""c""",no,4,11']


def test_columns_and_rows_of_the_user_stay(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text('note,other_id,id,same\n"mine, too",a,"b, ""c""",y\nagain,"b, ""c""",a,no\nother,y,x,1\n')
    made = Review([PAIR, OTHER], file)
    made.say(OTHER, "no")
    made.say(PAIR, "unsure")
    assert file.read_text(encoding="utf8").splitlines() == [
        "note,other_id,id,same,stratum,stratum_pairs",
        '"mine, too",a,"b, ""c""",unsure,4,11',
        'again,"b, ""c""",a,unsure,4,11',
        "other,y,x,1,,",
        ",=1+1,é,no,1,5",
    ]


@pytest.mark.parametrize(
    ("word", "answer"),
    [("y", "yes"), ("1", "yes"), (" Yes ", "yes"), ("N", "no"), ("skip", "unsure"), ("", None), ("perhaps", None)],
)
@pytest.mark.parametrize("ends", ['a,"b, ""c"""', '"b, ""c""", a'])
def test_answers_count_as_item_duplicates_reads_them(tmp_path: Path, word: str, answer: str | None, ends: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(f"id,other_id,same\n{ends},{word}\n")
    assert Review([PAIR], file).answer(PAIR) == answer


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(VectorError, match="be moved away"):
        Review([PAIR], file)
    file.write_text("name,price\nmug,3\n")
    with pytest.raises(VectorError, match="CSV in UTF-8 with id, other_id, same"):
        Review([PAIR], file)


def test_an_answer_that_cannot_be_written_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Review([PAIR], tmp_path / "answers.csv")
    made.say(PAIR, "yes")

    def full(*_: object) -> None:
        raise OutputError("the disk is full.")

    monkeypatch.setattr(review, "whole_file", full)
    with pytest.raises(OutputError):
        made.say(PAIR, "no")
    assert made.answer(PAIR) == "yes"
