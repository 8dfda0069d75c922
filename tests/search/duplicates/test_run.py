import errno
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from item_embed.errors import ConfigError, VectorError
from item_embed.files import OutputError
from item_embed.progress import OnProgress, silent
from item_embed.search.duplicates.found import Found
from item_embed.search.duplicates.graph import build_graph
from item_embed.search.duplicates.result import Clusters
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings, Variants
from item_embed.search.index import ProductIndex
from tests.catalogs import Row, photo
from tests.search.duplicates.made import at, groups, make_index

PRODUCTS, LISTINGS = 40, 3
GIVEN = Settings(threshold=0.95)


def rows_of(keys: list[int]) -> list[Row]:
    return [
        Row(f"id {key}", f"mug {key}", photo((key, 9, 9)) if key % 3 else None, product_id=f"p{key // LISTINGS}")
        for key in keys
    ]


def indexed(path: Path, keys: list[int], vectors: NDArray[np.float32]) -> ProductIndex:
    return make_index(path, vectors[keys], rows_of(keys))


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return groups(PRODUCTS, LISTINGS)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, vectors: NDArray[np.float32]) -> ProductIndex:
    return indexed(tmp_path_factory.mktemp("index"), list(range(len(vectors))), vectors)


def clusters(out: Path) -> dict[str, int]:
    table = pq.ParquetFile(out / "clusters.parquet").read()
    return dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))


def partition(out: Path) -> set[frozenset[str]]:
    members: dict[int, set[str]] = {}
    for key, cluster in clusters(out).items():
        members.setdefault(cluster, set()).add(key)
    return {frozenset(keys) for keys in members.values()}


def files(out: Path) -> set[str]:
    return {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}


GRAPH = {"graph/listings.parquet", "graph/vectors.parquet", "graph/pairs.parquet"}


def test_listings_of_one_product_are_one_cluster(index: ProductIndex, tmp_path: Path) -> None:
    totals = find_duplicates(index, tmp_path / "out", GIVEN)
    expected = {frozenset(f"id {3 * product + place}" for place in range(3)) for product in range(PRODUCTS)}
    assert partition(tmp_path / "out") == expected
    clustered = {"duplicates.json", "clusters.parquet", "clusters.csv", "same_product.json"}
    assert files(tmp_path / "out") == clustered | GRAPH
    assert json.loads((tmp_path / "out" / "duplicates.json").read_text()) == {"schema_version": 1, **totals}
    shown = ("listings", "searched", "near_pairs", "clusters", "clusters_of_several", "duplicates", "largest")
    assert [totals[name] for name in shown] == [120, 120, 120, 40, 40, 80, 3]
    assert totals["recall_of_pairs"] == {
        "vectors": 120,
        "at_threshold": {"found": 240, "of": 240},
        "at_floor": {"found": 240, "of": 240},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["out"]  # nothing left aside


def test_the_threshold_comes_from_labels_pairs_or_answers(index: ProductIndex, tmp_path: Path) -> None:
    by_labels = find_duplicates(index, tmp_path / "labels", Settings(labels="product_id", floor=0.3, precision=0.9))
    assert by_labels["chosen"]["precision"]["low"] >= 0.9
    assert by_labels["chosen"]["judged_pairs"] == by_labels["near_pairs"]
    assert by_labels["chosen"]["all_sure"] is False
    table = pq.ParquetFile(tmp_path / "labels" / "clusters.parquet").read().to_pylist()
    assert min(row["confidence"] for row in table if row["size"] > 1) > 0.5
    ends = [(f"id {3 * number}", f"id {3 * number + 1}", "yes") for number in range(30)]
    ends += [(f"id {3 * number}", f"id {3 * number + 3}", "no") for number in range(30)]
    text = "id,other_id,same\n" + "".join(f"{','.join(row)}\n" for row in ends)
    (tmp_path / "pairs.csv").write_text(text)
    for name in ("pairs", "answers"):
        given = find_duplicates(index, tmp_path / name, Settings(**{name: tmp_path / "pairs.csv"}, precision=0.85))  # type: ignore[arg-type]
        assert given["chosen"]["from"] == "60 answers of pairs.csv"
        assert 0.8 <= given["threshold"] < 0.99
        assert given["chosen"]["all_sure"] is True  # those that are wrong lie below the floor
        assert given["duplicates"] >= 70  # some are farther apart than any pair that was judged


def test_what_is_right_below_the_floor_does_not_count(tmp_path: Path) -> None:
    """Of 15 pairs above the floor 10 are right: no threshold has .8, although of all 315 answers .98 are yes."""
    generator = np.random.default_rng(0)
    cosine = np.repeat([0.95, 0.5], [15, 300])[:, None]
    one, other = np.linalg.qr(generator.standard_normal((315, 64, 2)))[0].transpose(2, 0, 1)
    vectors = np.stack([one, cosine * one + np.sqrt(1 - cosine**2) * other], axis=1).reshape(-1, 64)
    index = make_index(tmp_path, vectors.astype(np.float32))
    answers = [f"id {2 * pair},id {2 * pair + 1},{'no' if pair < 5 else 'yes'}\n" for pair in range(315)]
    file = tmp_path / "answers.csv"
    file.write_text("id,other_id,same\n" + "".join(answers))
    with pytest.raises(ConfigError, match=r"15 pairs above --floor .* cannot promise a precision of 0\.8"):
        find_duplicates(index, tmp_path / "out", Settings(answers=file, precision=0.8))
    lower = Settings(answers=file, precision=0.8, floor=0.4)
    assert find_duplicates(index, tmp_path / "out", lower)["threshold"] < 0.51
    file.write_text("id,other_id,same\n" + "".join(answers[20:]))
    said = (
        r"no judged pair has a cosine of 0\.8 or more and may be joined; half of them reach 0\.(45|5): give --floor 0"
    )
    with pytest.raises(ConfigError, match=said):
        find_duplicates(index, tmp_path / "out", Settings(answers=file, precision=0.8))


def test_a_floor_that_leaves_nothing_names_one_that_leaves_some(tmp_path: Path) -> None:
    """Listings 40 degrees apart, two of each product: a cosine of .77."""
    rows = [
        Row(f"id {n}", f"mug {n}", product_id=f"p{n // 2}", metadata={"colour": ("red", "blue")[n % 2]})
        for n in range(8)
    ]
    spread = np.kron(np.eye(4, dtype=np.float32), at(0, 40))
    index = make_index(tmp_path, spread, rows)
    labels, sample = Settings(labels="product_id", precision=0.5), Settings(sample=10)
    said = "no two listings have a cosine of 0.8 or more, so there is nothing to judge; half of the listings' nearest"
    with pytest.raises(ConfigError, match=f"^{said} reach 0.75: give --floor 0.75\\.$"):
        find_duplicates(index, tmp_path / "out", sample)
    assert find_duplicates(index, tmp_path / "sampled", replace(sample, floor=0.75))["sampled"] == 4
    said = (
        "no two listings whose product_id is known have a cosine of 0.8 or more and may be joined; half of those that"
    )
    with pytest.raises(ConfigError, match=f"^{said} share a product_id reach 0.75: give --floor 0.75\\.$"):
        find_duplicates(index, tmp_path / "out", labels)
    assert find_duplicates(index, tmp_path / "labelled", replace(labels, floor=0.75))["duplicates"] == 4
    apart = Variants("colour", same=False)
    with pytest.raises(ConfigError, match=r"that may be joined have .* nothing to judge; lower --floor\.$"):
        find_duplicates(index, tmp_path / "out", replace(sample, floor=0.75, variants=apart))
    with pytest.raises(ConfigError, match=r"that may be joined have .* nothing to judge; lower --floor\.$"):
        find_duplicates(index, tmp_path / "out", replace(sample, variants=apart))  # of .75 nothing may be joined either
    with pytest.raises(ConfigError, match=r"whose product_id is known have .* and may be joined; lower --floor\.$"):
        find_duplicates(index, tmp_path / "out", replace(labels, variants=apart))
    (tmp_path / "pairs.csv").write_text("id,other_id,same\nid 0,id 1,yes\n")
    with pytest.raises(ConfigError, match=r"^--variants keeps all judged pairs apart; judge others"):
        find_duplicates(index, tmp_path / "out", Settings(pairs=tmp_path / "pairs.csv", variants=apart))


def test_a_threshold_that_cannot_be_chosen_keeps_the_neighbours(
    index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="cannot promise a precision of"):
        find_duplicates(index, tmp_path / "out", Settings(labels="product_id", precision=0.99))
    monkeypatch.setattr("item_embed.search.duplicates.run.build_graph", from_blocks(build_graph))
    assert find_duplicates(index, tmp_path / "out", Settings(labels="product_id", precision=0.9))["duplicates"] == 80


def from_blocks(build: Callable[..., Any]) -> Callable[..., Any]:
    """Building that finds all its blocks done."""

    def built(snapshot: Any, vectors: Any, work: Path, **options: Any) -> Any:
        before = {file: file.stat().st_mtime_ns for file in work.iterdir()}
        assert before
        found = build(snapshot, vectors, work, **options)
        assert {file: file.stat().st_mtime_ns for file in work.iterdir()} == before
        return found

    return built


def killed_in(label: str) -> Callable[[str], AbstractContextManager[OnProgress]]:
    """Stages of which one is killed."""

    def stages(name: str) -> AbstractContextManager[OnProgress]:
        if name == label:
            raise KeyboardInterrupt
        return nullcontext(silent)

    return stages


def unsearched(name: str) -> AbstractContextManager[OnProgress]:
    """Stages of which one must not be reached."""
    assert name != "searching neighbours"
    return nullcontext(silent)


@pytest.mark.parametrize("label", ["measuring recall", "clustering"])
def test_a_run_that_was_killed_searches_nothing_twice(
    index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    find_duplicates(index, tmp_path / "whole", GIVEN)
    with pytest.raises(KeyboardInterrupt):
        find_duplicates(index, tmp_path / "out", GIVEN, stages=killed_in(label))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("item_embed.search.duplicates.run.build_graph", from_blocks(build_graph))
    find_duplicates(index, tmp_path / "out", GIVEN)
    assert clusters(tmp_path / "out") == clusters(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pairs": Path("none.csv")}, "--pairs none.csv does not exist"),
        ({"answers": Path("none.csv")}, "--answers none.csv does not exist"),
        ({"labels": "color"}, "no listing of .* has a column 'color'"),
        ({"labels": "title", "variants": Variants("color", same=True)}, "no listing of .* has a column 'color'"),
        ({"sample": 3, "variants": Variants("color", same=False)}, "no listing of .* has a column 'color'"),
    ],
)
def test_a_file_or_a_column_that_is_not_there_is_noticed_before_the_search(
    index: ProductIndex, tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        find_duplicates(index, tmp_path / "out", Settings(**options), stages=unsearched)


def test_labels_that_nobody_shares_are_noticed_before_the_search(tmp_path: Path) -> None:
    lonely = make_index(tmp_path, at(0, 1))
    with pytest.raises(ConfigError, match="no two listings share one"):
        find_duplicates(lonely, tmp_path / "out", Settings(labels="product_id"), stages=unsearched)


def test_an_index_that_changed_is_brought_up_to_date_as_if_from_nothing(
    tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    generator = np.random.default_rng(1)
    changed = vectors.copy()
    changed[5] = vectors[100]  # it has become another product
    keys = list(range(100))
    find_duplicates(indexed(tmp_path / "a", keys, vectors), tmp_path / "out", GIVEN)
    before = clusters(tmp_path / "out")
    later = [key for key in range(120) if key not in (0, 7, 8, 40)]
    generator.shuffle(later)
    now = indexed(tmp_path / "b", later, changed)
    updated = find_duplicates(now, tmp_path / "elsewhere", GIVEN, update=tmp_path / "out")
    again = find_duplicates(now, tmp_path / "out", GIVEN)
    anew = find_duplicates(now, tmp_path / "anew", GIVEN)
    assert updated["searched"] == again["searched"] == 20  # id 5 has the vector of id 100, which is new
    assert anew["searched"] == 115
    assert {**again, "searched": 115} == anew
    assert partition(tmp_path / "out") == partition(tmp_path / "elsewhere") == partition(tmp_path / "anew")
    after = clusters(tmp_path / "out")
    assert after == clusters(tmp_path / "elsewhere")
    assert all(after[key] == before[key] for key in after if key in before and key != "id 5")
    assert min(after[f"id {key}"] for key in range(102, 120)) > max(before.values())


def test_a_second_run_over_the_same_index_searches_nothing(index: ProductIndex, tmp_path: Path) -> None:
    first = find_duplicates(index, tmp_path / "out", GIVEN)
    second = find_duplicates(index, tmp_path / "out", replace(GIVEN, threshold=0.99))
    assert (first["searched"], second["searched"]) == (120, 0)
    assert second["duplicates"] < first["duplicates"]


def test_a_sample_is_answered_in_the_same_folder_and_nothing_of_the_user_is_lost(
    index: ProductIndex, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    find_duplicates(index, out, GIVEN)
    before = clusters(out)
    told = find_duplicates(index, out, Settings(sample=30))
    assert (told["sampled"], told["searched"]) == (30, 0)
    assert {"pairs.html", "clusters.parquet"} < files(out)
    ends = [(first, first + step) for first in range(0, 120, 3) for step in (1, 2)]
    text = "id,other_id,same\n" + "".join(
        f"id {one},id {other},yes\n" for one, other in [*ends, *((a + 1, a + 2) for a, _ in ends)]
    )
    (out / "answers.csv").write_text(text)
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("mine")
    find_duplicates(index, out, Settings(answers=out / "answers.csv", precision=0.9))  # 40 products, 160 answers
    assert {"pairs.html", "answers.csv", "notes/mine.txt"} < files(out)
    assert clusters(out) == before  # with the numbers of the run before the sample


@pytest.mark.parametrize(
    ("settings", "late"), [(GIVEN, "clustering"), (Settings(sample=30), "writing pairs")], ids=["clusters", "sample"]
)
def test_what_is_answered_during_a_run_stays(
    index: ProductIndex, tmp_path: Path, settings: Settings, late: str
) -> None:
    out = tmp_path / "out"
    find_duplicates(index, out, GIVEN)
    (out / "answers.csv").write_text("before")

    def answered(name: str) -> AbstractContextManager[OnProgress]:
        if name == late:
            (out / "answers.csv").write_text("during")
        return nullcontext(silent)

    find_duplicates(index, out, settings, stages=answered)
    assert (out / "answers.csv").read_text() == "during"


def test_a_sample_leaves_the_totals_of_clusters_beside_them(index: ProductIndex, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = find_duplicates(index, out, GIVEN)
    told = find_duplicates(index, out, Settings(sample=30))
    assert told["sampled"] == 30
    assert json.loads((out / "duplicates.json").read_text()) == {"schema_version": 1, **found}
    sampled = find_duplicates(index, tmp_path / "alone", Settings(sample=30))
    assert json.loads((tmp_path / "alone" / "duplicates.json").read_text()) == {"schema_version": 1, **sampled}


def test_listings_without_a_vector_are_alone(tmp_path: Path) -> None:
    index = make_index(tmp_path, np.concatenate([np.zeros((3, 2), np.float32), at(0, 1), np.zeros((1, 2), np.float32)]))
    totals = find_duplicates(index, tmp_path / "out", GIVEN)
    assert partition(tmp_path / "out") == {
        frozenset(f"id {n}" for n in one) for one in ((0,), (1,), (2,), (3, 4), (5,))
    }
    assert (totals["without_vector"], totals["duplicates"]) == (4, 1)
    assert [clusters(tmp_path / "out")[f"id {number}"] for number in range(6)] == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize("count", [0, 1])
def test_an_index_of_next_to_nothing_has_no_duplicates(tmp_path: Path, count: int) -> None:
    index = make_index(tmp_path, at(*range(count)).reshape(count, 2), rows_of(list(range(count))))
    totals = find_duplicates(index, tmp_path / "out", GIVEN)
    assert (totals["clusters"], totals["duplicates"], totals["near_pairs"]) == (count, 0, 0)
    with pytest.raises(ConfigError, match="nothing to judge"):
        find_duplicates(index, tmp_path / "sampled", Settings(sample=10))


@pytest.mark.parametrize("kind", ["same", "noisy"])
def test_a_placeholder_of_thousands_is_one_cluster_without_many_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    count = 5000
    noise = np.random.default_rng(0).standard_normal((count, 32)) * (1e-7 if kind == "noisy" else 0)
    index = make_index(tmp_path, (groups(1, 1, d=32) + noise).astype(np.float32))
    totals = find_duplicates(index, tmp_path / "out", GIVEN)
    assert (totals["largest"], totals["clusters"]) == (count, 1)
    assert totals["near_pairs"] < 1000


def test_variants_that_are_different_are_parted_even_where_vectors_are_equal(tmp_path: Path) -> None:
    colours = ("red", "blue", "red", None, "red", "blue")
    rows = [Row(f"id {n}", "mug", metadata={"colour": colour}) for n, colour in enumerate(colours)]
    index = make_index(tmp_path, at(0, 0, 0, 0, 5, 6), rows)
    apart = replace(GIVEN, variants=Variants("colour", same=False))
    totals = find_duplicates(index, tmp_path / "out", apart)
    found = clusters(tmp_path / "out")
    assert found["id 0"] == found["id 2"] == found["id 4"] != found["id 1"] == found["id 5"]
    assert totals["variants"] == {"column": "colour", "are": "different", "clusters_of_several_values": 0}
    together = replace(GIVEN, variants=Variants("colour", same=True))
    totals = find_duplicates(index, tmp_path / "out", together)
    assert (totals["clusters"], totals["variants"]["clusters_of_several_values"]) == (1, 1)


def test_further_files_are_written_of_what_was_found(index: ProductIndex, tmp_path: Path) -> None:
    def further(found: Found, folder: Path) -> dict[str, Any]:
        (folder / "report.html").write_text(str(found.threshold))
        return {"further": found.searched}

    assert find_duplicates(index, tmp_path / "out", GIVEN, further=further)["further"] == 120
    assert (tmp_path / "out" / "report.html").read_text() == "0.95"


def test_a_folder_that_is_none_of_ours_is_left_alone(index: ProductIndex, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        find_duplicates(index, tmp_path / "out", GIVEN)
    (tmp_path / "out" / "duplicates.json").write_text("{}")
    for out, update in ((tmp_path / "out", None), (tmp_path / "new", tmp_path / "out"), (tmp_path / "new", tmp_path)):
        with pytest.raises(VectorError, match=r"holds no duplicates that were found earlier"):
            find_duplicates(index, out, GIVEN, update=update)
    assert files(tmp_path / "out") == {"mine.txt", "duplicates.json"}


def test_another_version_is_refused(index: ProductIndex, tmp_path: Path) -> None:
    find_duplicates(index, tmp_path / "out", GIVEN)
    (tmp_path / "out" / "duplicates.json").write_text('{"schema_version": 99}')
    with pytest.raises(VectorError, match="another version"):
        find_duplicates(index, tmp_path / "out", GIVEN)


@pytest.mark.parametrize("where", ["np.save", "Clusters.write"])
def test_a_full_disk_is_a_sentence(
    index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np if where == "np.save" else Clusters, where.split(".")[1], full)
    with pytest.raises(OutputError, match="No space left on device"):
        find_duplicates(index, tmp_path / "out", GIVEN)
    assert not (tmp_path / "out").exists()
