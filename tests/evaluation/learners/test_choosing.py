import pytest

from item_embed.errors import ConfigError
from item_embed.evaluation.learners.choosing import NAMES, check_settings, learner, models_of
from tests.tiny import tiny_config


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_that_of_its_learner(name: str) -> None:
    found = learner(name)
    assert found.name == name
    assert found.labels == (name.endswith("-categories") or name == "supervised")
    assert found.trains == (name != "phash")


def test_what_each_sees() -> None:
    seen = {name: learner(name).sees for name in NAMES}
    assert {name for name, sees in seen.items() if sees == "image"} == {"phash", "resnet50", "resnet50-categories"}
    assert {name for name, sees in seen.items() if sees == "title"} == {"roberta", "roberta-categories"}


@pytest.mark.parametrize("name", ["clipp", "", "Item", "item-locale"])
def test_an_unknown_name_is_one_sentence_with_all_names(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no method '{name}'.*resnet50-categories.*item:KEY=VALUE"):
        learner(name)
    with pytest.raises(ConfigError, match=r"do you mean clip\?"):
        learner("clipp")


def test_patterns() -> None:
    assert learner("item:training.seed=3").name == "item:training.seed=3"
    assert learner("frozen:some/folder").trains is False
    with pytest.raises(ConfigError, match=r"'frozen:' names no model"):
        learner("frozen:")
    assert models_of("item:objectives.token_corruption=[1,0,0]") == ["item:objectives.token_corruption=[1,0,0]"]
    assert models_of("frozen:a,b/c") == ["frozen:a", "frozen:b/c"]
    assert models_of("frozen:a,") == ["frozen:a", "frozen:"]  # which is refused as above


def test_settings_of_a_variant_are_checked_before_training() -> None:
    config = tiny_config()
    for name in ("item", "clip", "item:training.steps=9"):
        check_settings(learner(name), config)
    with pytest.raises(ConfigError, match=r"method item:training\.stepps=3: there is no setting training\.stepps"):
        check_settings(learner("item:training.stepps=3"), config)
    with pytest.raises(ConfigError, match="learning_rate"):
        check_settings(learner("item:training.learning_rate=abc"), config)
