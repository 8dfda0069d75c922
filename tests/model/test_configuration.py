from pathlib import Path

import pytest
from transformers import AutoConfig

from item_embed.config import ModelSettings, ObjectiveSettings, ObjectiveWeights
from item_embed.model.configuration import ItemConfig


def test_grid_and_patch() -> None:
    config = ItemConfig(image_size=(80, 64), patch_size=16)
    assert (config.grid_size, config.num_patches, config.patch_dim) == ((5, 4), 20, 768)


def test_every_setting_of_the_architecture_arrives() -> None:
    settings = ModelSettings(
        image_size=(24, 16),
        patch_size=8,
        hidden_size=12,
        num_hidden_layers=5,
        num_attention_heads=3,
        intermediate_size=7,
        vocab_size=999,
        max_title_tokens=6,
        dropout=0.25,
        norm_position="post",
        background="drop",
    )
    weights = ObjectiveWeights(mlm=0, gmim=0.5)
    objectives = ObjectiveSettings(weights=weights, patch_masking="drop", global_head="linear")
    config = ItemConfig.from_settings(settings, objectives, 77)
    for name, value in settings.model_dump().items():
        expected = {"vocab_size": 77, "image_size": [24, 16]}.get(name, value)
        assert getattr(config, name) == expected, name
    assert config.objectives == ["itm", "mim", "gmlm", "gmim"]
    assert (config.patch_masking, config.global_head) == ("drop", "linear")


def test_a_configuration_of_before_these_settings_keeps_everything() -> None:
    config = ItemConfig()
    assert (config.background, config.patch_masking, config.global_head) == ("keep", "keep", "span")
    assert (config.norm_position, config.hidden_act) == ("pre", "gelu")


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    config = ItemConfig(
        image_size=(48, 32), hidden_size=24, num_attention_heads=3, objectives=("gmlm",), background="drop"
    )
    config.save_pretrained(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(read, ItemConfig)
    expected = {**config.to_dict(), "_name_or_path": str(tmp_path)}
    assert {**read.to_dict(), "transformers_version": None} == {**expected, "transformers_version": None}


@pytest.mark.parametrize(("size", "patches"), [((224, 224), 196), ((80, 64), 20)])
def test_patches_of_the_shipped_sizes(size: tuple[int, int], patches: int) -> None:
    assert ItemConfig(image_size=size).num_patches == patches
