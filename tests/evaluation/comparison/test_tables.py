import numpy as np
import pytest

from item_embed.evaluation.asked import Asked
from item_embed.evaluation.comparison import running
from item_embed.evaluation.comparison.entry import Entry, Facts
from item_embed.evaluation.comparison.running import Comparison, compare
from item_embed.evaluation.comparison.setup import Setup
from item_embed.evaluation.comparison.tables import comparison_json, comparison_tables, summary
from item_embed.evaluation.measured import Sums, mean
from tests.evaluation.comparison.learners import fake_learner, labelled_shop
from tests.evaluation.sums import drawn
from tests.tiny import tiny_config


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    catalog = labelled_shop(folder / "catalog")
    setup = Setup(folder / "out", catalog.path, tiny_config(), Asked())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "learner", fake_learner)
        return compare(setup, ["tfidf", "noisy", "good", "diverging"], seeds=2)


def test_sizes_and_seeds_are_columns(found: Comparison) -> None:
    methods = comparison_tables(found, "good")[0]
    rows = {row[0]: dict(zip(methods.columns, row, strict=True)) for row in methods.rows}
    assert rows["good"]["samples"] == "64"
    assert (rows["good"]["minutes"], rows["good"]["CPU minutes"], rows["good"]["seeds"]) == ("0.5", "1.0", "2")
    assert rows["tfidf"]["learns from"] == "nothing trained"
    assert (rows["tfidf"]["samples"], rows["tfidf"]["minutes"]) == ("", "")
    assert rows["tfidf"]["parameters, million"] == ""


def test_what_was_trained_before_says_its_samples_but_no_minutes(found: Comparison) -> None:
    known = Entry("frozen:run/model", 0, Facts("both", parameters=7, samples=640, note="trained elsewhere"), drawn(0))
    methods = comparison_tables(Comparison(found.questions, {"frozen:run/model": [known]}), "good")[0]
    [row] = (dict(zip(methods.columns, row, strict=True)) for row in methods.rows)
    assert (row["samples"], row["minutes"], row["CPU minutes"]) == ("640", "", "")
    assert methods.note.endswith("frozen:run/model: trained elsewhere.")


def test_what_is_to_be_known_of_one_seed_is_told_once_and_of_all(found: Comparison) -> None:
    notes = ("trained elsewhere", "", "trained on 2 rows of the queries", "trained elsewhere")
    entries = [Entry("frozen:a", seed, Facts("both", note=note), drawn(0)) for seed, note in enumerate(notes)]
    several = Comparison(found.questions, {"frozen:a": entries})
    wanted = "trained elsewhere; trained on 2 rows of the queries"
    assert comparison_tables(several, "frozen:a")[0].note.endswith(f"frozen:a: {wanted}.")
    assert comparison_json(several, "frozen:a")["methods"]["frozen:a"]["note"] == wanted


def test_figures_are_means_over_seeds_with_their_range(found: Comparison) -> None:
    figures = comparison_tables(found, "good")[1]
    rows = {row[0]: dict(zip(figures.columns, row, strict=True)) for row in figures.rows}
    values = [entry.measured["hit_at_1"] for entry in found.entries["noisy"]]
    low, high = sorted(one.value for one in values)
    assert rows["noisy"]["hit@1"] == f"{mean(values).figure().text()} ({low:.3f} to {high:.3f})"
    assert "(" not in rows["tfidf"]["hit@1"]


def test_differences_are_paired_and_marked_where_they_decide_nothing(found: Comparison) -> None:
    differences = comparison_tables(found, "good")[2]
    rows = {row[0]: dict(zip(differences.columns, row, strict=True)) for row in differences.rows}
    assert set(rows) == {"tfidf", "noisy"}
    good, noisy = (mean([e.measured["map_at_10"] for e in found.entries[name]]) for name in ("good", "noisy"))
    assert rows["noisy"]["MAP@10"] == good.minus(noisy).text("+.3f")
    assert good.minus(noisy).low > 0  # type: ignore[operator]
    same = good.minus(mean([e.measured["map_at_10"] for e in found.entries["tfidf"]]))
    assert rows["tfidf"]["MAP@10"].endswith(" n.s.") == (same.low is not None and same.low <= 0)


def test_the_index_of_dominance_is_compared_too_and_signed(found: Comparison) -> None:
    methods = {"item": [0, 1], "clip": [2], "joined": [3, 4]}
    entries = {name: [Entry(name, seed, Facts("both"), drawn(seed)) for seed in of] for name, of in methods.items()}
    seen = Comparison(found.questions, entries)
    index = {name: mean([entry.measured["dominance_index"] for entry in of]) for name, of in entries.items()}
    _, figures, differences = comparison_tables(seen, "item")
    assert (figures.columns[-1], differences.columns[-1]) == ("dominance index", "dominance index")
    low, high = sorted(entry.measured["dominance_index"].value for entry in entries["item"])
    assert figures.rows[0][-1] == f"{index['item'].figure().text('+.3f')} ({low:+.3f} to {high:+.3f})"
    told = comparison_json(seen, "item")["methods"]
    for row, name in zip(differences.rows, ("clip", "joined"), strict=True):
        wanted = index["item"].minus(index[name])
        assert str(row[-1]).removesuffix(" n.s.") == wanted.text("+.3f")
        assert told[name]["reference_minus_method"]["dominance_index"] == wanted.as_json()


def test_what_is_left_out_is_said(found: Comparison) -> None:
    last = comparison_tables(found, "good")[-1]
    assert list(last.rows[0]) == ["diverging", "training stopped at step 3: the loss is not a number any more."]


def test_json_holds_the_same(found: Comparison) -> None:
    told = comparison_json(found, "good")
    assert (told["task"], told["queries"], told["reference"]) == ("compare", 16, "good")
    noisy = told["methods"]["noisy"]
    assert noisy["seeds"] == [0, 1]
    assert sum(noisy["hit_at_1"]["by_seed"]) / 2 == pytest.approx(noisy["hit_at_1"]["value"])
    assert noisy["reference_minus_method"]["hit_at_1"]["value"] == pytest.approx(
        told["methods"]["good"]["hit_at_1"]["value"] - noisy["hit_at_1"]["value"]
    )
    assert "reference_minus_method" not in told["methods"]["good"]
    assert list(told["left_out"]) == ["diverging"]


def test_the_summary_names_the_best_and_how_far_it_is_ahead(found: Comparison) -> None:
    assert summary(Comparison(found.questions, {})) == "nothing is measured yet."
    good, noisy = (mean([e.measured["macro_recall_at_10"] for e in found.entries[name]]) for name in ("good", "noisy"))
    assert good.value == 1 > noisy.value
    two = Comparison(found.questions, {name: found.entries[name] for name in ("noisy", "good")})
    above = good.minus(noisy)
    assert above.decided
    wanted = f"good has the highest macro recall@10, 1.000, {above.text('+.3f')} above noisy."
    assert summary(two) == wanted
    one = Comparison(found.questions, {"good": found.entries["good"]})
    assert summary(one) == "good has the highest macro recall@10, 1.000."


def test_the_summary_marks_what_decides_nothing(found: Comparison) -> None:
    same = Comparison(found.questions, dict.fromkeys(("one", "other"), found.entries["good"]))
    assert summary(same) == "one and other have the highest macro recall@10, 1.000."
    half, less = (
        {"macro_recall_at_10": Sums(np.array(values), np.ones(4))} for values in ([0, 1, 1, 0.4], [1, 0, 0.6, 0.4])
    )
    entries = {name: [Entry(name, 0, Facts("both"), found)] for name, found in (("less", less), ("half", half))}
    told = summary(Comparison(found.questions, entries))
    assert told.startswith("half has the highest macro recall@10, 0.600, +0.100 [-")
    assert told.endswith("] n.s. above less.")
