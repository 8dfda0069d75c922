import pytest

from item_embed.catalog.drawing.showing import ATTRIBUTES, CHANNELS, PRESETS, Showing, choose
from item_embed.errors import ConfigError
from tests.catalog.drawing.pairs import allowed


def test_what_photos_and_titles_show_follows_from_the_channels() -> None:
    showing = Showing(brand="photo", line="title", model="both", colour="neither")
    assert {"brand", "model"} <= showing.photo
    assert not {"line", "colour"} & showing.photo
    assert {"line", "model"} <= showing.title
    assert not {"brand", "colour"} & showing.title


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("channel", CHANNELS)
def test_every_attribute_can_show_anywhere_except_what_no_photo_can_show(attribute: str, channel: str) -> None:
    if channel in allowed(attribute):
        assert getattr(choose("balanced", [f"{attribute}={channel}"]), attribute) == channel
    else:
        with pytest.raises(ConfigError, match=f"^{attribute} cannot show in '{channel}'; choose title or neither"):
            choose("balanced", [f"{attribute}={channel}"])


def test_changes_leave_the_rest_of_a_preset() -> None:
    changed = choose("title", ["size=both", "colour=neither"])
    assert (changed.size, changed.colour) == ("both", "neither")
    assert all(getattr(changed, a) == getattr(PRESETS["title"], a) for a in set(ATTRIBUTES) - {"size", "colour"})
    assert changed.mention == PRESETS["title"].mention
    assert choose("title", mention=0).mention == 0
    assert choose() == Showing()


def test_an_image_market_shows_in_photos_what_a_title_market_tells_in_titles() -> None:
    image, title, balanced = (PRESETS[name] for name in ("image", "title", "balanced"))
    assert len(image.photo) > len(title.photo)
    assert len(title.title) > len(image.title)
    assert not balanced.photo & balanced.title
    assert balanced.photo
    assert balanced.title


@pytest.mark.parametrize(
    ("dominance", "show", "mention", "words"),
    [
        ("both", [], None, r"no dominance 'both'; choose mixed, image, title or balanced for --dominance"),
        ("mixed", ["weight=photo"], None, r"no attribute 'weight' to show; choose brand, line, .* or shape for --show"),
        ("mixed", ["colour"], None, r"--show colour has no channel; write it as --show colour=photo"),
        ("mixed", ["colour=smell"], None, r"colour cannot show in 'smell'; choose photo, title, both or neither"),
        ("mixed", ["size=photo", "size=title"], None, r"--show gives size two channels, photo and title; give one"),
        ("mixed", [], 1.5, r"share of 1\.5; give --mention a number from 0 to 1"),
        ("mixed", [], float("nan"), r"--mention a number from 0 to 1"),
    ],
)
def test_a_wrong_choice_is_one_sentence(dominance: str, show: list[str], mention: float | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose(dominance, show, mention)
