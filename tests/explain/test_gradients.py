"""Integrated gradients: they add up, they are those of the formula, and they explain the vector that is served."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError
from item_embed.explain import Explanation, Listing, explain
from item_embed.explain import gradients as module
from item_embed.explain.explanation import Seen, Side
from item_embed.explain.gradients import ServedVector
from tests.embedding.export.made import TITLES, photo, trained
from tests.tiny import shown_patches

KINDS = ("none", "plain", "fused")
WHOLE = Listing(TITLES[0], photo(3)), Listing(TITLES[2], photo(5))
ALONE = Listing(TITLES[1]), Listing(None, photo(2))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder(trained(tmp_path_factory.mktemp("model"), "fused", background="drop"))


def torch_backend(embedder: Embedder) -> TorchBackend:
    assert isinstance(embedder.backend, TorchBackend)
    return embedder.backend


def weights(side: Side) -> list[float]:
    patches = [] if side.patches is None else side.patches.ravel().tolist()
    return [*(word.weight for word in side.words), *patches]


def embedded(embedder: Embedder, *listings: Listing) -> np.ndarray:
    return embedder.embed([one.photo for one in listings], [one.title for one in listings])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch_embedding": "convolutional", "background": "drop"},
        {"norm_position": "post", "background": "drop"},
        {"patch_embedding": "convolutional", "norm_position": "post"},
    ],
    ids=lambda changes: "-".join(changes.values()),
)
def test_weights_add_up_to_the_served_score(tmp_path: Path, kind: str, changes: dict[str, str]) -> None:
    embedder = Embedder(trained(tmp_path, kind, **changes))
    for a, b in (WHOLE, ALONE, (WHOLE[0], ALONE[0]), (ALONE[1], WHOLE[1])):
        found = explain(embedder, a, b)
        first, second = embedded(embedder, a, b)
        assert found.score == pytest.approx(float(first @ second), abs=1e-6)
        for side in (found.a, found.b):
            assert side.baseline is not None
            assert side.remainder == pytest.approx(0, abs=1e-5)
            assert side.baseline + sum(weights(side)) == pytest.approx(found.score, abs=1e-5)
            assert side.by_words + side.by_patches == pytest.approx(sum(weights(side)), abs=1e-6)
            assert max(map(abs, weights(side))) > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_the_formula(tmp_path: Path, kind: str) -> None:
    """(x - x') times the mean gradient on the way from x' to x, by a plain loop of midpoints."""
    embedder = Embedder(trained(tmp_path, kind))
    a, b = WHOLE
    served = ServedVector(torch_backend(embedder), Seen(*embedder.read(a.photo, a.title)))
    other = torch.from_numpy(embedded(embedder, b)[0])
    steps = 120
    expected = {name: torch.zeros(part.shape[1]) for name, part in served.parts.items()}
    for step in range(steps):
        share = (step + 0.5) / steps
        points = [
            (served.blank[name] + share * (part - served.blank[name])).detach().requires_grad_()
            for name, part in served.parts.items()
        ]
        gradients = torch.autograd.grad((served(*points) @ other).sum(), points)
        for (name, part), gradient in zip(served.parts.items(), gradients, strict=True):
            expected[name] += ((part - served.blank[name]) * gradient)[0].sum(dim=1) / steps
    side = explain(embedder, a, b).a
    assert side.patches is not None
    np.testing.assert_allclose(side.patches.ravel(), expected["photo"], atol=1e-4)
    tokens = expected["title"].sum() + expected.get("words", torch.zeros(1)).sum()
    assert side.by_words == pytest.approx(float(tokens), abs=1e-4)


def test_a_side_is_explained_while_the_other_stays(fused: Embedder) -> None:
    found, turned = explain(fused, *WHOLE), explain(fused, WHOLE[1], WHOLE[0])
    assert weights(found.a) == pytest.approx(weights(turned.b), abs=1e-6)
    assert weights(found.b) == pytest.approx(weights(turned.a), abs=1e-6)
    assert found.a.baseline == pytest.approx(turned.b.baseline, abs=1e-6)


def test_the_words_are_those_of_the_title_as_it_is_written(fused: Embedder) -> None:
    side = explain(fused, Listing("  Red&amp;mug,\tMODEL   1 "), WHOLE[1]).a
    assert side.title == "Red&mug, MODEL 1"
    assert [word.text for word in side.words] == ["Red&mug,", "MODEL", "1"]
    assert all(side.title[word.start : word.end] == word.text for word in side.words)


def test_words_past_the_cut_count_as_hashed_words_alone(tmp_path: Path) -> None:
    title = f"{TITLES[2]} {TITLES[2]} shiny"  # the model reads eight tokens
    by_kind = {
        kind: explain(Embedder(trained(tmp_path / kind, kind)), Listing(title), WHOLE[1]).a
        for kind in ("none", "fused")
    }
    assert by_kind["none"].words[-1].weight == 0
    assert by_kind["fused"].words[-1].weight != 0
    assert by_kind["none"].remainder == pytest.approx(0, abs=1e-5)


def test_background_that_is_left_out_weighs_nothing(fused: Embedder) -> None:
    patches = explain(fused, Listing("Red mug", photo(3)), WHOLE[1]).a.patches
    assert patches is not None
    assert patches.shape == (4, 2)
    assert set(np.flatnonzero(patches)) == shown_patches(3)


def test_steps_that_go_through_the_encoder_in_parts_are_the_same_steps(
    fused: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = explain(fused, *WHOLE)
    monkeypatch.setattr(module, "_POSITIONS", 70)
    parts = explain(fused, *WHOLE)
    assert weights(parts.a) == pytest.approx(weights(whole.a), abs=1e-6)


def test_the_model_is_left_as_it_was(fused: Embedder) -> None:
    explain(fused, *WHOLE)
    assert all(parameter.grad is None for parameter in torch_backend(fused).model.parameters())


def test_a_listing_of_nothing_is_refused(fused: Embedder) -> None:
    with pytest.raises(ModelError, match="product 1 has neither a photo nor a title"):
        explain(fused, WHOLE[0], Listing(" "))


def test_without_captum_a_sentence_says_what_to_do(fused: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ModelError, match=r"captum.* is not installed; in a checkout .*, pip install '\.\[explain\]'"):
        explain(fused, *WHOLE)


def test_an_explanation_as_json_has_everything_but_photos(fused: Embedder) -> None:
    found: Explanation = explain(fused, WHOLE[0], ALONE[1])
    told = found.as_json()
    assert told["method"] == "gradients"
    assert told["score"] == found.score
    assert told["a"]["words"][0] == {"text": "Red", "start": 0, "end": 3, "weight": found.a.words[0].weight}
    assert np.shape(told["a"]["patches"]) == (4, 2)
    assert told["b"] == {
        "title": None,
        "words": [],
        "patches": told["b"]["patches"],
        "baseline": found.b.baseline,
        "remainder": found.b.remainder,
    }
