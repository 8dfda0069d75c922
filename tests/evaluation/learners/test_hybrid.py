from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.learners.choosing import check_settings, learner, models_of
from tests.evaluation.learners.made import fit, material, never
from tests.tiny import tiny_config

SETTINGS = ("training.steps=3", "training.batch_size=4")


def test_its_vectors_are_those_of_the_method_beside_it(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS)
    found = fit(learner("hybrid:whitened:roberta"), given, tmp_path / "hybrid:whitened:roberta-7")
    assert sorted(path.name for path in tmp_path.iterdir() if "roberta" in path.name) == [
        "roberta-7",
        "whitened:roberta-7",
    ]
    plain = learner("whitened:roberta").fit(given, tmp_path / "whitened:roberta-7", "cpu", never)
    assert found.note == plain.note
    titles = ["Red mug, model 1", None, "Golden lamp"]
    np.testing.assert_array_equal(found.embeds.embed(titles=titles), plain.embeds.embed(titles=titles))


def test_it_is_what_the_method_is() -> None:
    for name in ("supervised", "roberta", "item-five", "fused:clip"):
        hybrid, plain = learner(f"hybrid:{name}"), learner(name)
        assert hybrid.name == f"hybrid:{name}"
        assert (hybrid.sees, hybrid.labels, hybrid.trains) == (plain.sees, plain.labels, plain.trains)
    assert models_of("hybrid:fused:frozen:a,b") == ["hybrid:fused:frozen:a", "hybrid:fused:frozen:b"]
    with pytest.raises(ConfigError, match=r"no setting training\.stepps"):
        check_settings(learner("hybrid:whitened:item:training.stepps=3"), tiny_config())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hybrid:tfidf", "tfidf has no vectors to search together with words"),
        ("hybrid:hybrid:clip", "would be joined with words twice; name hybrid:clip"),
        ("hybrid:resnet50", "resnet50 sees photos alone, .*; name it as it is"),
        ("whitened:hybrid:clip", "would whiten a ranking; name hybrid:whitened:clip"),
        ("hybrid:klip", "no method 'klip'; do you mean clip"),
    ],
)
def test_what_cannot_be_joined_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        learner(name)
