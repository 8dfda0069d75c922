from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from item_embed.errors import ConfigError
from item_embed.search.duplicates.graph import Graph, build_graph
from item_embed.search.duplicates.judged import Judged, check_labels, labelled, pairs_of_listings, read_judged
from item_embed.search.duplicates.listings import read_listings
from item_embed.search.duplicates.snapshot import open_vectors, take_snapshot
from item_embed.search.index import ProductIndex
from tests.catalogs import Row
from tests.search.duplicates.made import at, make_index

IDS = "abcdefg"
ANGLES = (0, 0, 0, 10, 20, 90, 90)  # a, b and c are one vector, f and g another
PRODUCTS = (None, "p", "p", "p", "q", "q", None)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    rows = [
        Row(key, f"mug {key}", product_id=product, metadata={"colour": "red" if key in "ab" else "blue"})
        for key, product in zip(IDS, PRODUCTS, strict=True)
    ]
    return make_index(tmp_path_factory.mktemp("index"), at(*ANGLES), rows)


@pytest.fixture(scope="module")
def vectors(index: ProductIndex, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    return open_vectors(index, take_snapshot(index), tmp_path_factory.mktemp("vectors") / "v.npy")


@pytest.fixture(scope="module")
def graph(index: ProductIndex, vectors: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Graph:
    work = tmp_path_factory.mktemp("work")
    return build_graph(take_snapshot(index), vectors, work, neighbours=5, floor=0.9)[0]


def said(pairs: Any) -> set[str]:
    return {IDS[a] + IDS[b] for a, b in zip(pairs.first, pairs.second, strict=True)}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf8")
    return path


def test_each_vector_is_judged_once_and_each_copy_once(graph: Graph) -> None:
    pairs = pairs_of_listings(graph)
    assert said(pairs) == {"ad", "ae", "de", "ab", "ac", "fg"}
    assert pairs.cosine[-3:].tolist() == [1, 1, 1]
    assert said(pairs_of_listings(graph, np.array([key in "bg" for key in IDS]))) == {
        "bd",
        "be",
        "de",
        "ba",
        "bc",
        "gf",
    }


def test_labels_say_what_is_the_same_where_both_have_one(index: ProductIndex, graph: Graph) -> None:
    judged = labelled(graph, read_listings(index, list(IDS), ["product_id"]), "product_id")
    answers = dict(
        zip(
            [IDS[a] + IDS[b] for a, b in zip(judged.pairs.first, judged.pairs.second, strict=True)],
            judged.same,
            strict=True,
        )
    )
    assert answers == {"bd": True, "be": False, "de": False, "bc": True}
    assert judged.weight.tolist() == [1] * 4
    assert "4 near pairs whose product_id is known" in judged.told


def test_pairs_of_different_values_are_left_out(
    index: ProductIndex, graph: Graph, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    listings = read_listings(index, list(IDS), ["colour", "product_id"])
    colours = listings.codes("colour")
    assert said(labelled(graph, listings, "product_id", colours).pairs) == {"de"}
    file = write(tmp_path / "p.csv", "id,other_id,same\na,b,yes\na,c,yes\n")
    assert said(read_judged(file, "--pairs", graph.snapshot, vectors, colours).pairs) == {"ab"}


def test_labels_that_nobody_shares_are_refused(index: ProductIndex) -> None:
    listings = read_listings(index, list(IDS), ["product_id"])
    lonely = [str(number) for number in range(len(IDS))]
    listings.columns["product_id"][:] = lonely
    with pytest.raises(ConfigError, match=r"no two listings share one, or .* give --pairs"):
        check_labels(listings, "product_id")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_pairs_is_read(graph: Graph, vectors: NDArray[np.float32], tmp_path: Path, kind: str) -> None:
    rows = [
        ("a", "b", "YES"),
        ("d", "e", "no"),
        ("a", "f", "n"),
        ("a", "d", None),
        ("a", "e", "unsure"),
        ("b", "e", "1"),
    ]
    path = tmp_path / f"pairs.{kind}"
    if kind == "csv":
        write(path, "same,other_id,id,note\n" + "".join(f"{same or ''},{b},{a},x\n" for a, b, same in rows))
    else:
        table = [dict(zip(("id", "other_id", "same"), row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(table), path)
    judged = read_judged(path, "--pairs", graph.snapshot, vectors)
    assert said(judged.pairs) == {"ab", "de", "af", "be"}
    assert judged.same.tolist() == [True, False, False, True]
    expected = np.cos(np.radians([0, 10, 90, 20]))
    assert judged.pairs.cosine == pytest.approx(expected, abs=1e-6)


def test_a_listing_without_a_vector_is_near_nothing(tmp_path: Path) -> None:
    index = make_index(tmp_path, np.concatenate([at(0), np.zeros((2, 2), np.float32)]))
    taken = take_snapshot(index)
    vectors = open_vectors(index, taken, tmp_path / "v.npy")
    file = write(tmp_path / "p.csv", "id,other_id,same\nid 0,id 1,yes\nid 1,id 2,no\n")
    assert read_judged(file, "--pairs", taken, vectors).pairs.cosine.tolist() == [0, 0]


def test_answers_stand_for_their_share_of_the_stratum(
    graph: Graph, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    text = "id,other_id,same,stratum,stratum_pairs\na,b,yes,9,30\na,c,no,9,30\na,d,unsure,9,30\na,e,yes,3,7\n"
    judged = read_judged(write(tmp_path / "answers.csv", text), "--answers", graph.snapshot, vectors)
    assert judged.weight.tolist() == [15, 15, 7]


@pytest.mark.parametrize(
    ("answers", "units"),
    [
        ("ab+ bc+ ac-", [{"ab", "bc", "ac"}]),  # one product, whatever the order of its listings
        ("cb+ ed+ ba+", [{"cb", "ba"}, {"ed"}]),
        ("ag- bg- cg-", [{"ag", "bg", "cg"}]),  # all about g
        ("ab- de-", [{"ab"}, {"de"}]),
        ("ab+ cd- bc-", [{"ab", "bc"}, {"cd"}]),  # of two products that are asked about as often, the first
        ("ab- ab-", [{"ab"}]),
    ],
)
def test_answers_about_one_product_are_one_unit(
    graph: Graph, vectors: NDArray[np.float32], tmp_path: Path, answers: str, units: list[set[str]]
) -> None:
    rows = [f"{pair[0]},{pair[1]},{'yes' if pair[2] == '+' else 'no'}" for pair in answers.split()]
    file = write(tmp_path / "p.csv", "\n".join(["id,other_id,same", *rows]))
    judged = read_judged(file, "--pairs", graph.snapshot, vectors)
    assert units_of(judged) == {frozenset(unit) for unit in units}


def test_labels_have_a_unit_for_each_product(index: ProductIndex, graph: Graph) -> None:
    listings = read_listings(index, list(IDS), ["product_id"])
    listings.columns["product_id"][:] = ["p", "p", "q", "r", "p", "q", "p"]
    assert units_of(labelled(graph, listings, "product_id")) == {frozenset({"ab", "ac", "ad", "ae", "de", "fg"})}


def units_of(judged: Judged) -> set[frozenset[str]]:
    """The pairs of each unit."""
    found: dict[int, set[str]] = {}
    for a, b, unit in zip(judged.pairs.first, judged.pairs.second, judged.unit.tolist(), strict=True):
        found.setdefault(unit, set()).add(IDS[a] + IDS[b])
    return {frozenset(pairs) for pairs in found.values()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,other_id,same\na,b,yes\na,x,no\n", r"row 3: the index has no listing 'x'"),
        ("id,other_id,same\na,b,perhaps\n", r"row 2: same is 'perhaps'; write yes, no"),
        ("id,other_id,same\na,a,yes\n", r"row 2: 'a' is paired with itself"),
        ("id,other_id,same\na\n", r"row 2: the index has no listing ''"),
        ("id,other_id,same\na,b,\n", "has no answer"),
        ("id,other_id,same\n", "has no answer"),
        ("id,other_id\na,b\n", "no column 'same'; it needs id, other_id, same"),
        ("", "no column 'id'"),
        *(
            (f"id,other_id,same,stratum,stratum_pairs\na,b,yes,1,{given}\n", f"row 2: stratum_pairs is '{given}'")
            for given in ("many", "0", "-3", "nan", "inf")
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    graph: Graph, vectors: NDArray[np.float32], tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^--pairs .*p\.csv.*{reason}"):
        read_judged(write(tmp_path / "p.csv", text), "--pairs", graph.snapshot, vectors)


@pytest.mark.parametrize(
    ("name", "content"), [("none.csv", None), ("a.parquet", b"garbage"), ("a.csv", b"\xff\xfe\x00")]
)
def test_files_that_are_none_are_refused(
    graph: Graph, vectors: NDArray[np.float32], tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"does not exist|damaged"):
        read_judged(tmp_path / name, "--pairs", graph.snapshot, vectors)


def test_a_spreadsheets_mark_at_the_beginning_does_no_harm(
    graph: Graph, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text("id,other_id,same\na,b,yes\n", encoding="utf-8-sig")
    judged: Judged = read_judged(tmp_path / "p.csv", "--pairs", graph.snapshot, vectors)
    assert judged.same.tolist() == [True]
