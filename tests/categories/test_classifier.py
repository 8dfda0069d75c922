import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.categories.abstaining import HeldOut
from item_embed.categories.classifier import NUMBERS_FILE, TOLD_FILE, CategoryClassifier, Encoder
from item_embed.categories.linear import Linear
from item_embed.errors import ConfigError, ModelError, VectorError
from tests.categories.made import ENCODER, PATHS

WIDTH = 4


def classifier(seed: int = 0, leaves: tuple[str, ...] = PATHS, held: int = 400) -> CategoryClassifier:
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(len(leaves), WIDTH)).astype(np.float32)
    linear = Linear(numbers[0], 0.5, numbers * 3, numbers[:, 1])
    likelihood = np.sort(generator.random((held, 2)), axis=1) ** 0.3
    said = HeldOut(likelihood, generator.random((held, 2)) < likelihood, np.arange(held) // 2)
    return CategoryClassifier(leaves, linear, 1.7, ENCODER, said, 0.7, {"C": 1.0})


def vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


@given(st.integers(0, 10**6))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_read_is_what_was_written(tmp_path: Path, seed: int) -> None:
    made = classifier(seed)
    made.save(tmp_path)
    read = CategoryClassifier.load(tmp_path)
    assert read.leaves == made.leaves
    assert (read.temperature, read.precision, read.told) == (made.temperature, made.precision, made.told)
    assert (read.encoder.fingerprint, read.encoder.modalities) == (ENCODER.fingerprint, "both")
    some = vectors(50, seed)
    one, other = (each.predict(some, ENCODER.fingerprint) for each in (made, read))
    for name in ("top", "top_likelihood", "level", "node", "likelihood"):
        assert (getattr(one, name) == getattr(other, name)).all(), name
    assert made.thresholds(0.7) == read.thresholds(0.7)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_predictions_are_those_of_plain_loops() -> None:
    made = classifier()
    some = vectors(200)
    some[7] = 0
    found = made.predict(some, ENCODER.fingerprint)
    least = [np.inf if point is None else point.threshold for point in made.thresholds()]
    for row, vector in enumerate(some):
        logits = (vector - made.linear.mean) / 0.5 @ made.linear.weights.T + made.linear.bias
        powers = np.exp(logits / 1.7)
        leaf = dict(zip(made.leaves, powers / powers.sum(), strict=True))
        ranked = sorted(leaf, key=lambda name: -leaf[name])
        assert [made.leaves[n] for n in found.top[row]] == ranked[:5]
        assert found.top_likelihood[row] == pytest.approx([leaf[name] for name in ranked[:5]], abs=1e-5)
        prefixes = {
            top: sum(p for name, p in leaf.items() if name.startswith(f"{top} > ")) for top in ("Shoes", "Bags")
        }
        best = [max(level.items(), key=lambda item: item[1]) for level in (leaf, prefixes)]
        expected = next((n for n, (_, p) in enumerate(best) if p >= least[n]), -1) if row != 7 else -1
        assert found.level[row] == expected
        if expected >= 0:
            assert made.tree.names(expected)[found.node[row]] == best[expected][0]
            assert found.likelihood[row] == pytest.approx(best[expected][1], abs=1e-5)
    assert {-1, 0} < set(found.level.tolist())


def test_many_rows_are_predicted_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    made, some = classifier(), vectors(50)
    whole = made.predict(some, ENCODER.fingerprint)
    monkeypatch.setattr("item_embed.categories.classifier._ROWS", 16)
    parts = made.predict(some, ENCODER.fingerprint)
    assert (whole.level == parts.level).all()
    assert whole.top_likelihood == pytest.approx(parts.top_likelihood)
    assert made.predict(some[:0], ENCODER.fingerprint).top.shape == (0, 5)


def test_a_higher_precision_answers_no_more_leaves() -> None:
    made, some = classifier(), vectors(300)
    answered = [
        (made.predict(some, ENCODER.fingerprint, made.thresholds(precision)).level == 0).sum()
        for precision in (0.5, 0.7, 0.8, 0.999)
    ]
    assert answered == sorted(answered, reverse=True)
    assert answered[0] > answered[-1] == 0
    with pytest.raises(ConfigError, match="out of range"):
        made.thresholds(1.5)


def test_vectors_that_mean_something_else_are_refused() -> None:
    made = classifier()
    with pytest.raises(VectorError, match=r"another model \(other\) than the classifier learnt from \(ffffffffffff"):
        made.predict(vectors(3), "other")
    with pytest.raises(VectorError, match="the vectors have 3 numbers and the classifier's model makes 4"):
        made.predict(vectors(3)[:, :3], ENCODER.fingerprint)


def test_a_model_inside_the_folder_moves_with_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    replace(classifier(), encoder=Encoder(tmp_path / "one" / "model", "f", "title")).save(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    encoder = CategoryClassifier.load(tmp_path / "two").encoder
    assert (encoder.path, encoder.modalities) == (tmp_path / "two" / "model", "title")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("remove", "holds no classifier; make one with `item classify fit`"),
        ("version", "is of version 99, and this is item-embed for version 1"),
        ("text", "is damaged; copy the whole folder, or fit it again"),
        ("numbers", "is damaged"),
        ("lost", "is damaged"),
        ("leaves", "is damaged"),
        ("modalities", "is damaged"),
        ("temperature", "is damaged"),
        ("precision", "is damaged"),
    ],
)
def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path, damage: str, sentence: str) -> None:
    classifier().save(tmp_path)
    file, numbers = tmp_path / TOLD_FILE, tmp_path / NUMBERS_FILE
    told = json.loads(file.read_text())
    if damage == "remove":
        file.unlink()
    elif damage == "text":
        file.write_text("{")
    elif damage == "numbers":
        numbers.write_bytes(numbers.read_bytes()[:100])
    elif damage == "lost":
        numbers.unlink()
    else:
        told |= {
            "version": {"schema_version": 99},
            "leaves": {"leaves": ["A", "B"]},
            "temperature": {"temperature": float("nan")},
            "precision": {"precision": 1.0},
        }.get(damage, {})
        told["model"]["modalities"] = "smell" if damage == "modalities" else "both"
        file.write_text(json.dumps(told))
    with pytest.raises(ModelError, match=sentence):
        CategoryClassifier.load(tmp_path)
