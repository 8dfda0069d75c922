import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.clip import Clip, clip_config, clip_loss
from item_embed.evaluation.learners.matching import parameters
from tests.evaluation.learners.made import fit, material


def test_the_loss_is_its_formula() -> None:
    torch.manual_seed(0)
    photos, titles = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    titles[:2] = photos[:2] + 0.1 * titles[:2]
    scale = 3.0
    scores = [[scale * float(torch.cosine_similarity(p, t, dim=0)) for t in titles] for p in photos]
    total, right = 0.0, 0
    for i in range(4):
        row, column = scores[i], [scores[k][i] for k in range(4)]
        total -= math.log(math.exp(row[i]) / sum(map(math.exp, row))) / 2
        total -= math.log(math.exp(column[i]) / sum(map(math.exp, column))) / 2
        right += row[i] == max(row)
    loss = clip_loss(photos, titles, torch.tensor(scale))
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.count == 4
    assert loss.metrics["matched"].item() == right


@pytest.mark.parametrize(
    "settings",
    [
        ("model.hidden_size=128", "model.intermediate_size=512", "model.num_hidden_layers=3"),
    ],
)
def test_both_towers_together_come_within_five_in_a_hundred(settings: tuple[str, ...], catalog: Catalog) -> None:
    given = material(catalog, *settings)
    with torch.device("meta"):
        model = CLIPModel(clip_config(given))
    assert parameters(model) == pytest.approx(given.parameters, rel=0.05)


def test_pairs_have_a_photo_and_a_title(catalog: Catalog) -> None:
    task = Clip().prepare(material(catalog))
    assert catalog.has_photo[task.samples.rows].all()
    assert catalog.titles.present[task.samples.rows].all()
    assert 0 < len(task.samples.rows) < len(catalog.rows("train"))
    assert task.whole


def test_photos_are_augmented_as_those_of_item_are(catalog: Catalog) -> None:
    plain, mirrored = (Clip().prepare(material(catalog, f"augmentation.mirror={p}")) for p in (0, 1))
    rows, epochs = plain.samples.drawn(0)
    torch.testing.assert_close(plain.batch(rows, epochs)["photos"], mirrored.batch(rows, epochs)["photos"].flip(-1))


def test_halves_are_the_towers_and_a_missing_one_is_zero(catalog: Catalog, tmp_path: Path) -> None:
    embeds = fit(Clip(), material(catalog), tmp_path / "clip").embeds
    photo = next(photo for photo in catalog.iter_photos() if photo)
    both, image, title = embeds.embed([photo, photo, None], ["Red mug", None, "Red mug"])
    half = embeds.dimension // 2
    np.testing.assert_allclose(both[:half] * math.sqrt(2), image[:half], atol=1e-6)
    np.testing.assert_allclose(both[half:] * math.sqrt(2), title[half:], atol=1e-6)
    assert not image[half:].any()
    assert not title[:half].any()


def test_positions_of_photos_that_are_not_square_can_all_be_learnt(catalog: Catalog) -> None:
    """Stretching a square's positions to the photo's must not make two of them depend on one another."""
    given = material(catalog, "model.image_size=[40,32]", "model.patch_size=8")
    embeddings = CLIPModel(clip_config(given)).vision_model.embeddings
    patches = torch.zeros(1, 5 * 4 + 1, embeddings.embed_dim)
    positions = embeddings.interpolate_pos_encoding(patches, 40, 32)[0, 1:, 0]
    assert positions.shape == (20,)
    weight = embeddings.position_embedding.weight
    rows = [torch.autograd.grad(p, weight, retain_graph=True)[0][1:, 0] for p in positions]
    assert torch.linalg.matrix_rank(torch.stack(rows)) == 20
