from pathlib import Path

import pytest

from item_embed.errors import ConfigError
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.baselines import METHODS
from item_embed.evaluation.comparison import running
from item_embed.evaluation.comparison.running import compare, gather
from item_embed.evaluation.comparison.setup import Setup
from item_embed.evaluation.measuring import measure
from item_embed.evaluation.queries import catalog_queries
from item_embed.evaluation.run import evaluate_simple
from tests.evaluation.comparison.learners import Fake, FirstWord, fake_learner, labelled_shop
from tests.tiny import tiny_config


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(running, "learner", fake_learner)
    catalog = labelled_shop(tmp_path / "catalog")
    return Setup(tmp_path / "out", catalog.path, tiny_config("training.seed=3"), Asked())


def times_fitted(setup: Setup, folder: str) -> int:
    return (setup.out / "methods" / folder / "fitted").read_text(encoding="utf8").count("once")


def test_methods_are_measured_on_the_same_questions(setup: Setup) -> None:
    found = compare(setup, ["good", "noisy"])
    assert list(found.entries) == ["good", "noisy"]
    [good], [noisy] = found.entries.values()
    wanted = measure(FirstWord(2.0, seed=3), setup.questions, sees="title")
    assert {name: sums.value for name, sums in noisy.measured.items()} == {n: s.value for n, s in wanted.items()}
    assert good.measured["macro_recall_at_10"].value == 1
    assert good.facts.parameters == setup.material(3).parameters
    assert found.questions is setup.questions


def test_every_seed_is_trained_but_where_nothing_is_drawn(setup: Setup) -> None:
    found = compare(setup, ["noisy", "still"], seeds=2)
    assert [entry.seed for entry in found.entries["noisy"]] == [3, 4]
    assert [entry.seed for entry in found.entries["still"]] == [3]
    one, other = (entry.measured["hit_at_1"].value for entry in found.entries["noisy"])
    assert one != other


def test_what_is_measured_is_not_measured_again(setup: Setup) -> None:
    compare(setup, ["good"])
    found = compare(setup, ["good", "noisy"], seeds=2)
    assert [times_fitted(setup, name) for name in ("good-3", "good-4", "noisy-3")] == [1, 1, 1]
    assert [len(entries) for entries in found.entries.values()] == [2, 2]


def test_a_method_that_fails_is_left_out_and_tried_again(setup: Setup) -> None:
    for _ in range(2):
        found = compare(setup, ["diverging", "good"])
        assert list(found.entries) == ["good"]
        assert found.left_out == {"diverging": "training stopped at step 3: the loss is not a number any more."}


def test_an_unknown_name_ends_it_before_anything_is_written(setup: Setup) -> None:
    with pytest.raises(ConfigError, match="no method 'gud'"):
        compare(setup, ["good", "gud"])
    assert not setup.out.exists()


def test_what_is_there_is_gathered_without_training(setup: Setup) -> None:
    compare(setup, ["good"])
    found = gather(setup, ["noisy", "good"], seeds=3)
    assert list(found.entries) == ["good"]
    assert len(found.entries["good"]) == 1


def test_the_name_of_a_folder_may_be_long(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"frozen:{'deep/' * 100}{end}" for end in ("one", "other")]
    monkeypatch.setattr(running, "learner", lambda name: Fake(name, 0.0, trains=False))
    found = compare(setup, names)
    assert list(found.entries) == names
    assert len(list((setup.out / "methods").iterdir())) == 2


def test_simple_methods_are_those_of_the_evaluation(setup: Setup) -> None:
    names = [name for name in METHODS if name != "simple"]
    found = compare(setup, names)
    results = evaluate_simple(names, setup.catalog, catalog_queries(setup.catalog, "test"))
    for result in results:
        [entry] = found.entries[result.method]
        for name, figure in result.figures().items():
            assert entry.measured[name].figure().text() == figure.text()
    assert "accuracy" in found.entries["tfidf"][0].measured
    assert found.entries["tfidf"][0].facts.parameters is None


def test_the_simple_sum_says_its_weights_and_what_each_side_finds(setup: Setup) -> None:
    found = compare(setup, ["simple", "tfidf", "colours"])
    [simple] = found.entries["simple"]
    assert simple.facts.note.startswith("1 words, 0.6 pixels, 0.8 colours, fitted on nothing of this catalogue")
    title, image = (simple.measured[f"macro_recall_at_10_{side}"].value for side in ("title", "image"))
    assert title == found.entries["tfidf"][0].measured["macro_recall_at_10"].value
    assert 0 <= image <= 1


@pytest.mark.slow
def test_side_by_side_gives_what_one_after_the_other_gives(tmp_path: Path) -> None:
    catalog = labelled_shop(tmp_path / "catalog")
    methods = ["item", "phash", "tfidf"]
    alone, together = (
        compare(Setup(tmp_path / str(jobs), catalog.path, tiny_config(), Asked()), methods, jobs=jobs)
        for jobs in (1, 2)
    )
    assert list(alone.entries) == list(together.entries) == methods
    for method in methods:
        one, other = (found.entries[method][0].measured for found in (alone, together))
        assert {name: sums.figure().text() for name, sums in one.items()} == {
            name: sums.figure().text() for name, sums in other.items()
        }
