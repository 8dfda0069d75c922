from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.covariance import ledoit_wolf

from item_embed.config import most_fused
from item_embed.errors import ModelError
from item_embed.model.folder import WHITENING_FILE
from item_embed.model.whitening import SIGHTS, Whitening, fit_whitening
from item_embed.model.words import Words

Vectors = dict[str, NDArray[np.float32]]

TITLES = [f"mug {number % 7} of row {number}" for number in range(300)]


def drawn(seed: int = 0, count: int = 300, width: int = 6) -> Vectors:
    """Unit vectors of products seen three ways: off 0, and spread most along a few directions."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width)) * 2.0 ** -np.arange(width)[:, None]
    whole = random.normal(size=(count, width)) @ mixing + random.normal(size=width)
    seen = [whole, whole + random.normal(size=width), whole * 2 - random.normal(size=width)]
    return {name: unit(vectors).astype(np.float32) for name, vectors in zip(SIGHTS, seen, strict=True)}


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def applied(whitening: Whitening, vectors: NDArray[np.float32], sight: str) -> NDArray[np.float64]:
    photo = torch.full((len(vectors),), sight in ("both", "image"))
    titles = ["a title" if sight in ("both", "title") else None] * len(vectors)
    return whitening(torch.from_numpy(vectors), photo, titles).double().numpy()


def cosines(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors @ vectors.T)


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("sight", SIGHTS)
def test_each_direction_is_divided_by_a_power_of_its_spread(sight: str, power: float) -> None:
    """Against plain loops: centred, projected on each direction of the covariance, divided, put together again."""
    vectors = drawn()
    found = applied(fit_whitening(vectors, power), vectors[sight], sight)
    centred = vectors[sight].astype(np.float64) - vectors[sight].mean(axis=0, dtype=np.float64)
    covariance, _ = ledoit_wolf(centred)
    variances, directions = np.linalg.eigh(covariance)
    expected = np.zeros_like(centred)
    for row, vector in enumerate(centred):
        for variance, direction in zip(variances, directions.T, strict=True):
            expected[row] += (vector @ direction) / np.sqrt(variance) ** power * direction
    np.testing.assert_allclose(cosines(found), cosines(unit(expected)), atol=2e-5)


def test_at_power_1_no_direction_is_wider_than_another() -> None:
    vectors = drawn(count=20_000)
    whitening = fit_whitening(vectors, 1.0)
    stretched = (vectors["both"] - whitening.mean[0].numpy()) @ whitening.matrix[0].numpy()
    np.testing.assert_allclose(np.cov(stretched.T), np.eye(6), atol=0.1)  # the shrinkage is not nothing


def test_of_products_seen_otherwise_the_place_does_not_count() -> None:
    """Vectors that are the same but moved and turned alike by what is seen become the same."""
    vectors = drawn()
    vectors["image"] = vectors["both"] + np.float32(0.25)
    whitening = fit_whitening(vectors, 0.75)
    both, image = (applied(whitening, vectors[sight], sight) for sight in ("both", "image"))
    np.testing.assert_allclose(both, image, atol=1e-4)
    assert np.abs(applied(whitening, vectors["both"], "image") - both).max() > 0.1


def test_a_batch_may_mix_what_is_seen() -> None:
    vectors = drawn()
    whitening = fit_whitening(vectors, 0.75)
    mixed = np.stack([vectors[sight][row] for row, sight in enumerate(SIGHTS)])
    found = whitening(torch.from_numpy(mixed), torch.tensor([True, True, False]), ["one", None, "two"])
    alone = [applied(whitening, vectors[sight], sight)[row] for row, sight in enumerate(SIGHTS)]
    np.testing.assert_allclose(found.numpy(), np.stack(alone), atol=1e-6)


def test_fewer_numbers_are_the_first_of_all_and_tell_most() -> None:
    vectors = drawn()
    whole, short = fit_whitening(vectors, 0.5), fit_whitening(vectors, 0.5, dimensions=3)
    assert (whole.dimension, short.dimension) == (6, 3)
    for number in range(3):
        torch.testing.assert_close(short.matrix[number], whole.matrix[number, :, :3])
    spread = ((vectors["both"] - whole.mean[0].numpy()) @ whole.matrix[0].numpy()).std(axis=0)
    assert (np.diff(spread) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(applied(short, vectors["title"], "title"), axis=1), 1, rtol=1e-5)


def fused(whitening: Whitening, vectors: Vectors, sight: str = "both") -> NDArray[np.float64]:
    """Of products of which a photo, a title or both are seen; the rest is noise, which must not count."""
    photo, title = sight in ("both", "image"), sight in ("both", "title")
    noise = np.full_like(vectors["both"], 7)
    parts = [vectors[sight], vectors["image"] if photo else noise, vectors["title"] if title else noise]
    seen = torch.full((len(noise),), photo), TITLES[: len(noise)] if title else [None] * len(noise)
    return whitening(torch.from_numpy(np.stack(parts, axis=1)), *seen).double().numpy()


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_late_fusion_joins_three_whitened_vectors_and_the_words(power: float) -> None:
    """Against plain loops: each of length 1, in a row, projected on the directions in which they differ most."""
    vectors = drawn()
    alone = {sight: applied(fit_whitening(vectors, power), vectors[sight], sight) for sight in SIGHTS}
    joined = np.array([[*alone["both"][row], *alone["image"][row], *alone["title"][row]] for row in range(300)])
    _, directions = np.linalg.eigh(np.cov(joined.T))
    for dimensions, of_words in ((None, 10), (2, 0), (4, 1), (28, 10)):
        whitening = fit_whitening(vectors, power, dimensions, titles=TITLES)
        assert whitening.fuses
        assert whitening.dimension == (dimensions or 28)
        kept = directions[:, ::-1][:, : (dimensions or 28) - of_words]
        words = Words.of(TITLES, of_words)(TITLES)
        whole = unit(np.concatenate([joined @ kept, words], axis=1))
        found = {sight: fused(whitening, vectors, sight) for sight in SIGHTS}
        np.testing.assert_allclose(cosines(found["both"]), cosines(whole), atol=2e-4)
        lacking = np.zeros((300, 6))
        for sight, row, known in (
            ("image", [alone["image"], alone["image"], lacking], 0 * words),
            ("title", [alone["title"], lacking, alone["title"]], words),
        ):
            expected = unit(np.concatenate([np.concatenate(row, axis=1) @ kept, known], axis=1))
            np.testing.assert_allclose(found["both"] @ found[sight].T, whole @ expected.T, atol=2e-4)


def test_with_late_fusion_a_photo_meets_what_was_made_of_photos_alone() -> None:
    """Vectors of the whole products tell nothing of the photo here; those of photos alone, fused, find all of them."""
    random = np.random.default_rng(0)
    vectors = {sight: unit(random.normal(size=(300, 64))).astype(np.float32) for sight in SIGHTS}
    found = {}
    for late_fusion in (False, True):
        whitening = fit_whitening(vectors, 0.75, titles=TITLES if late_fusion else None)
        if late_fusion:
            whole, photos = fused(whitening, vectors), fused(whitening, vectors, "image")
        else:
            whole, photos = (applied(whitening, vectors[sight], sight) for sight in ("both", "image"))
        found[late_fusion] = ((photos @ whole.T).argmax(axis=1) == np.arange(300)).mean()
    assert found[True] > 0.9
    assert found[False] < 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 40), st.sampled_from([0.0, 0.75, 1.0]))
def test_turning_all_vectors_changes_no_cosine(seed: int, count: int, power: float) -> None:
    vectors = drawn(seed, count)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0].astype(np.float32)
    turned = {sight: found @ turn for sight, found in vectors.items()}
    one, other = (
        np.concatenate([applied(fit_whitening(these, power), these[sight], sight) for sight in SIGHTS])
        for these in (vectors, turned)
    )
    assert np.isfinite(one).all()
    np.testing.assert_allclose(cosines(one), cosines(other), atol=2e-2)


@pytest.mark.parametrize(("sight", "said"), [("both", "one vector: "), ("image", "one vector by their photos: ")])
def test_where_all_are_alike_there_is_nothing_to_whiten(sight: str, said: str) -> None:
    vectors = drawn()
    vectors[sight] = np.repeat(vectors[sight][:1], 300, axis=0)
    with pytest.raises(ModelError, match=f"300 products all have {said}there is nothing to whiten"):
        fit_whitening(vectors, 1)


def test_more_numbers_than_there_are_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="vectors of 6 numbers cannot be kept to 7; ask for 1 to 6"):
        fit_whitening(drawn(), 1, dimensions=7)
    with pytest.raises(ModelError, match="vectors of 28 numbers cannot be kept to 29; ask for 1 to 28"):
        fit_whitening(drawn(), 1, dimensions=29, titles=TITLES)


def test_late_fusion_wants_a_title_for_each_product() -> None:
    with pytest.raises(ValueError, match="0 titles of 300 products"):
        fit_whitening(drawn(), 1, titles=[])


def test_a_fusion_of_an_earlier_version_is_told_with_its_mend(tmp_path: Path) -> None:
    fit_whitening(drawn(), 0.75, titles=TITLES).save(tmp_path)
    kept = load_file(tmp_path / WHITENING_FILE)
    save_file({name: kept[name] for name in ("mean", "matrix", "frame")}, tmp_path / WHITENING_FILE)
    with pytest.raises(ModelError, match="as an earlier version did; remove it, and have `item whiten` make another"):
        Whitening.load(tmp_path)


@given(st.integers(1, 400))
def test_no_more_numbers_than_three_vectors_and_their_share_of_words(width: int) -> None:
    most = most_fused(width)
    assert most - most * 3 // 8 <= 3 * width < most + 1 - (most + 1) * 3 // 8


@pytest.mark.parametrize("late_fusion", [False, True])
def test_kept_in_a_models_folder(tmp_path: Path, *, late_fusion: bool) -> None:
    assert Whitening.load(tmp_path) is None
    whitening = fit_whitening(
        drawn(), 0.75, dimensions=28 if late_fusion else 4, titles=TITLES if late_fusion else None
    )
    whitening.save(tmp_path)
    again = Whitening.load(tmp_path)
    assert again is not None
    assert torch.equal(again.mean, whitening.mean)
    assert torch.equal(again.matrix, whitening.matrix)
    assert (again.fuses, again.dimension) == (late_fusion, 28 if late_fusion else 4)
    if late_fusion:
        np.testing.assert_array_equal(fused(again, drawn()), fused(whitening, drawn()))
    (tmp_path / WHITENING_FILE).write_bytes(b"half of a")
    with pytest.raises(ModelError, match=r"whitening.safetensors cannot be read .*; copy the whole model folder"):
        Whitening.load(tmp_path)
