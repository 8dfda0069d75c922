from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation import simple_weights
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.attempts import State
from item_embed.evaluation.baselines import METHODS
from item_embed.evaluation.comparison import cost, running
from item_embed.evaluation.comparison.running import Job, compare, gather, plan, trainings
from item_embed.evaluation.comparison.setup import Setup
from item_embed.evaluation.learners.fitting import Spent
from item_embed.evaluation.learners.hybrid import PREFIX as HYBRID
from item_embed.evaluation.learners.hybrid import Hybrid
from item_embed.evaluation.learners.learner import Learner
from item_embed.evaluation.learners.trained import write_done
from item_embed.evaluation.measuring import measure, measure_hybrid
from item_embed.evaluation.queries import catalog_queries
from item_embed.evaluation.run import evaluate_simple
from item_embed.files import OutputError, locked
from item_embed.progress import OnProgress, Stages, silent
from tests.evaluation.comparison.learners import FAILURES, Fake, FirstWord, fake_learner, labelled_shop
from tests.evaluation.fakes import shop
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


def test_a_method_joined_with_words_is_measured_so(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(name: str) -> Learner:
        return Hybrid(fake_learner(name.removeprefix(HYBRID))) if name.startswith(HYBRID) else fake_learner(name)

    monkeypatch.setattr(running, "learner", named)
    found = compare(setup, ["noisy", "hybrid:noisy"])
    [noisy], [joined] = found.entries.values()
    wanted = measure_hybrid(FirstWord(2.0, seed=3), setup.questions, sees="title")
    assert {name: sums.value for name, sums in joined.measured.items()} == {n: s.value for n, s in wanted.items()}
    assert joined.measured["map_at_10"].value > noisy.measured["map_at_10"].value
    assert joined.facts == noisy.facts
    assert "accuracy" in noisy.measured


def test_every_seed_is_trained_but_where_nothing_is_drawn(setup: Setup) -> None:
    found = compare(setup, ["noisy", "still"], seeds=2)
    assert [entry.seed for entry in found.entries["noisy"]] == [3, 4]
    assert [entry.seed for entry in found.entries["still"]] == [3]
    assert [entry.facts.note for entry in found.entries["still"]] == ["trained elsewhere"]
    one, other = (entry.measured["hit_at_1"].value for entry in found.entries["noisy"])
    assert one != other


def test_several_frozen_models_are_seeds_of_one_method(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = {"frozen:a": 0.0, "frozen:b": 2.0, "frozen:c": 4.0}
    monkeypatch.setattr(
        running, "learner", lambda name: Fake(name, noise.get(name, 0.0), trains=not name.startswith("frozen:"))
    )
    found = compare(setup, ["good", "frozen:a,b,c"], seeds=3)
    assert [len(entries) for entries in found.entries.values()] == [3, 3]
    models = found.entries["frozen:a"]
    assert [(entry.method, entry.seed) for entry in models] == [("frozen:a", 3), ("frozen:b", 4), ("frozen:c", 5)]
    assert [entry.measured["hit_at_1"].value == 1 for entry in models] == [True, False, False]
    for names in (["frozen:a,b", "frozen:b"], ["frozen:a,a"], ["frozen:a", "frozen:a,b"]):
        with pytest.raises(ConfigError, match=r"frozen:[ab] is named twice; name it once\."):
            plan(setup, names)


def test_a_plan_says_how_far_each_method_is(setup: Setup) -> None:
    compare(setup, ["good"])
    (setup.out / "methods" / "noisy-3").mkdir()
    (setup.out / "methods" / "still-3").mkdir()
    (setup.out / "methods" / "still-3" / "done.json").touch()
    found = [(job.method, job.seed, job.state) for job in plan(setup, ["noisy", "good", "still"], seeds=2)]
    assert found == [
        ("noisy", 3, State.BEGUN),
        ("noisy", 4, State.MISSING),
        ("good", 3, State.MEASURED),
        ("good", 4, State.MISSING),
        ("still", 3, State.TRAINED),
    ]


def test_what_is_measured_is_not_measured_again(setup: Setup) -> None:
    compare(setup, ["good"])
    found = compare(setup, ["good", "noisy"], seeds=2)
    assert [times_fitted(setup, name) for name in ("good-3", "good-4", "noisy-3")] == [1, 1, 1]
    assert [len(entries) for entries in found.entries.values()] == [2, 2]


def test_a_method_that_fails_is_left_out_and_tried_again(setup: Setup) -> None:
    for _ in range(2):
        found = compare(setup, ["diverging", "hungry", "starved", "good"])
        assert list(found.entries) == ["good"]
        assert found.left_out == {
            "diverging": "training stopped at step 3: the loss is not a number any more.",
            "hungry": "RuntimeError: CUDA out of memory.",
            "starved": "MemoryError: no reason is given",
        }


def test_without_same_product_labels_nothing_is_trained_or_written(setup: Setup, tmp_path: Path) -> None:
    unlabelled = replace(setup, path=shop(tmp_path / "unlabelled", labels=False).path)
    with pytest.raises(CatalogError, match="no same-product labels"):
        compare(unlabelled, ["good"])
    assert not setup.out.exists()


def test_one_process_at_a_time_works_in_a_folder(setup: Setup) -> None:
    with locked(setup.out), pytest.raises(OutputError, match="is being written by another process"):
        compare(setup, ["good"])
    assert not setup.out.exists()
    compare(setup, ["good"])


def test_nothing_teaches_a_tokenizer_that_no_method_reads(setup: Setup) -> None:
    compare(setup, ["still", "tfidf"])
    assert not (setup.out / "tokenizer").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_loads_from_others_comes_after_them(setup: Setup, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    order: list[set[str]] = []

    def fit(self: Fake, material: object, folder: Path, device: str | None, on_progress: OnProgress = silent) -> None:
        order.append({self.name})
        raise FAILURES["diverging"]

    def side_by_side(
        work: Callable[..., str | None], things: Sequence[running.Job], jobs: int, title: str, stage: Stages
    ) -> Iterator[tuple[running.Job, str | None]]:
        order.append({job.method for job in things})
        return iter([(job, "not possible.") for job in things])

    monkeypatch.setattr(Fake, "fit", fit)
    monkeypatch.setattr(running, "side_by_side", side_by_side)
    monkeypatch.setattr(running, "learner", lambda name: Fake(name, 0.0))
    methods = ["concatenation", "clip", "roberta"]
    compare(setup, methods, jobs=jobs)
    compare(setup, ["concatenation", "clip"], jobs=jobs)
    compare(setup, ["whitened:concatenation", "concatenation", "roberta"], jobs=jobs)
    whitened = [{"roberta"}, {"concatenation"}, {"whitened:concatenation"}]
    alone: list[set[str]] = [{"clip"}, {"roberta"}, {"concatenation"}, {"concatenation"}, {"clip"}, *whitened]
    together: list[set[str]] = [{"clip", "roberta"}, {"concatenation"}, {"concatenation", "clip"}, *whitened]
    assert order == (alone if jobs == 1 else together)
    order.clear()
    compare(setup, ["hybrid:whitened:concatenation", "concatenation", "roberta"], jobs=jobs)
    assert order == [{"roberta"}, {"concatenation"}, {"hybrid:whitened:concatenation"}]


def test_what_is_trained_for_several_methods_is_counted_once(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "learner", lambda _: Fake("any", 0.0))
    names = ["tfidf", "fused:clip", "clip", "hybrid:whitened:clip", "concatenation", "roberta", "whitened:item"]
    jobs = plan(setup, names, seeds=2)
    needed = ("clip", "concatenation", "roberta", "whitened:item")
    assert trainings(jobs) == {(method, seed): 1 for method in needed for seed in (3, 4)}
    write_done(Job(setup, "clip", 3, "clip").folder, 1, setup.config.training, Spent(1.0, 1.0))
    assert trainings(jobs).total() == 7


@pytest.mark.parametrize("at_once", [1, 2])
def test_how_long_the_rest_takes_is_told_after_the_first_training(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = [0.0], list[str]()
    monkeypatch.setattr("item_embed.evaluation.comparison.cost.time.monotonic", lambda: clock[0])

    def attempts() -> Iterator[tuple[str, str | None]]:
        for name, reason in (("tfidf", None), ("failing", "no"), ("clip", None), ("both", None), ("last", None)):
            clock[0] += 300
            yield name, reason

    needed = {"failing": 1, "clip": 1, "both": 2, "last": 1}
    passed = list(cost.timed(attempts(), lambda name: needed.get(name, 0), 5, at_once, told.append))
    assert passed == list(attempts())
    minutes = 5 * 3 if at_once == 1 else 15 * 2  # of those side by side the clock says how long all take
    assert told == [f"About {minutes} minutes for 3 other trainings, measuring included."]


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
    assert simple.facts.note.startswith("1 words, 0.6 pixels, 0.8 colours, as shipped: the validation split leaves 0")
    title, image = (simple.measured[f"macro_recall_at_10_{side}"].value for side in ("title", "image"))
    assert title == found.entries["tfidf"][0].measured["macro_recall_at_10"].value
    assert 0 <= image <= 1


@pytest.fixture
def validated(tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A comparison on a catalogue with validation listings, all of which titles find alone, and photos too."""
    monkeypatch.setattr(simple_weights, "_ENOUGH", 10)
    catalog = labelled_shop(tmp_path / "validated", ("train", "validation", "test"))
    return replace(setup, path=catalog.path)


def test_a_photo_that_the_sum_does_without_is_searched_by_all_the_same(validated: Setup) -> None:
    [simple] = compare(validated, ["simple"]).entries["simple"]
    assert simple.facts.note == (
        "1 words, 0 pixels, 0 colours, fitted on 16 listings of the validation split; "
        "the photo alone by 0.6 pixels, 0.8 colours"
    )
    assert simple.measured["macro_recall_at_10_image"].value == 1  # by nothing it would be chance


def test_weights_are_not_fitted_on_queries_that_are_judged(validated: Setup) -> None:
    [simple] = compare(replace(validated, asked=Asked(split="validation")), ["simple"]).entries["simple"]
    assert "as shipped: the validation split leaves 0 queries" in simple.facts.note


def test_photos_are_described_once(validated: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    read = Catalog.iter_photos

    def iter_photos(self: Catalog, rows: Any = None) -> Iterator[bytes | None]:
        if rows is None:  # all
            passes.append(len(self))
        return read(self, rows)

    monkeypatch.setattr(Catalog, "iter_photos", iter_photos)
    assert not compare(validated, ["simple"]).left_out
    assert passes == [48]


def test_a_side_that_nothing_has_is_not_measured(setup: Setup, tmp_path: Path) -> None:
    titles = shop(tmp_path / "titles", photos=False)
    found = compare(replace(setup, path=titles.path), ["simple", "tfidf", "good"])
    [simple], *others = found.entries.values()
    assert "macro_recall_at_10_image" not in simple.measured
    assert all("macro_recall_at_10_title" in entry.measured for [entry] in [[simple], *others])


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
        assert list(one) == list(other)
        for name, sums in one.items():  # several threads add up in another order, and a near tie may turn
            assert sums.value == pytest.approx(other[name].value, abs=0.1), name
