from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import Embeds
from item_embed.evaluation.learners.choosing import learner
from item_embed.evaluation.learners.concatenation import Concatenation
from tests.evaluation.learners.made import fit, material, never

SETTINGS = ("training.steps=3", "training.batch_size=4")


@pytest.mark.parametrize("suffix", [pytest.param("", marks=pytest.mark.slow), "-7"])
def test_what_is_done_beside_it_is_used(suffix: str, catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS)
    parts = [fit(learner(name), given, tmp_path / f"{name}{suffix}") for name in ("resnet50", "roberta")]
    fitted = Concatenation().fit(given, tmp_path / f"concatenation{suffix}", "cpu", never)
    assert not (tmp_path / f"concatenation{suffix}").exists()
    for name in ("parameters", "samples", "minutes", "cpu_minutes"):
        assert getattr(fitted, name) == sum(getattr(part, name) for part in parts)

    photo = next(photo for photo in catalog.iter_photos() if photo)

    def embed(embeds: Embeds) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return embeds.embed([photo, None], ["Red mug", "Red mug"])

    image, title = (embed(part.embeds) for part in parts)
    together = embed(fitted.embeds)
    np.testing.assert_allclose(together[0], np.concatenate([image[0], title[0]]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(together[1], np.concatenate([np.zeros_like(image[0]), title[1]]), atol=1e-6)


def test_otherwise_both_are_trained_within_it(catalog: Catalog, tmp_path: Path) -> None:
    fit(learner("roberta"), material(catalog, *SETTINGS, "training.seed=1"), tmp_path / "roberta")  # another one
    told: list[tuple[int, int | None]] = []
    given, folder = material(catalog, *SETTINGS), tmp_path / "concatenation"
    fitted = Concatenation().fit(given, folder, "cpu", lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]
    assert {path.name for path in folder.iterdir()} == {"resnet50", "roberta"}
    again = Concatenation().fit(given, folder, "cpu", never)
    assert again.minutes == fitted.minutes
