from pathlib import Path

import pytest

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.learner import Material, as_begun, encoder_parameters
from item_embed.model.tokenizer import train_tokenizer
from tests.tiny import tiny_config, tiny_model, tiny_processor


def test_parameters_are_those_of_the_encoder(catalog: Catalog) -> None:
    processor = tiny_processor(catalog, tiny_config())
    encoder = tiny_model(processor, tiny_config()).item
    vocabulary = processor.tokenizer.get_vocab_size()
    assert encoder_parameters(tiny_config(), vocabulary) == sum(p.numel() for p in encoder.parameters())


def test_a_tokenizer_is_trained_once_and_only_when_it_is_asked_for(catalog: Catalog) -> None:
    asked: list[str] = []

    def train() -> object:
        asked.append("once")
        return train_tokenizer(["a red mug"], 300)

    given = Material(catalog, catalog.rows("train"), tiny_config(), train)  # type: ignore[arg-type]
    assert asked == []
    size = encoder_parameters(tiny_config(), given.tokenizer.get_vocab_size())
    assert given.parameters == size
    assert asked == ["once"]


@pytest.mark.parametrize(
    ("now", "goes_on_as_begun"),
    [(("training.log_every=3", "training.pixel_cache_mb=9"), True), (("training.steps=9",), False), ((), True)],
)
def test_a_run_goes_on_with_what_it_was_begun_with_where_nothing_that_decides_differs(
    tmp_path: Path, now: tuple[str, ...], goes_on_as_begun: bool
) -> None:
    begun, config = tiny_config("training.log_every=2"), tiny_config(*now)
    assert as_begun(config, tmp_path) is config
    begun.save(tmp_path / "config.yaml")
    assert as_begun(config, tmp_path) == (begun if goes_on_as_begun else config)
