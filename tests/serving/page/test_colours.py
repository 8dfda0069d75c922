"""The page's colours, as its stylesheets have them: enough contrast for WCAG 2.2, level AA, in the light and the dark.

axe looks at the same in Chromium, of the views that it is shown; this is of every rule, and needs no browser.
"""

import re
from collections.abc import Iterator

import pytest

from tests.serving.page.test_files import STYLES, TEXT

TEXT_RATIO, GRAPHIC_RATIO = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11
GROUNDS = ("ground", "card")  # what text without a background of its own stands on
Colour = tuple[float, float, float]  # red, green, blue from 0 to 1

RULES = [
    (selector.strip(), body)
    for name in STYLES
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", TEXT[name], flags=re.DOTALL))
]
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", body)) for selector, body in RULES if selector == ":root"
)
SCHEMES = pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])


def rgb(hexadecimal: str) -> Colour:
    red, green, blue = (int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def over(colour: Colour, share: float, ground: Colour) -> Colour:
    """A colour of which so much covers a ground."""
    red, green, blue = (share * own + (1 - share) * under for own, under in zip(colour, ground, strict=True))
    return red, green, blue


def named(prop: str, body: str) -> str | None:
    """The variable that a rule gives to a property."""
    found = re.search(rf"(?:^|[;\s]){prop}:\s*var\(--([\w-]+)\)", body)
    return found and found[1]


def written() -> Iterator[tuple[str, str, str]]:
    """Where text gets a colour: the rule, the colour, and each ground that it may stand on."""
    for selector, body in [*RULES, ("all else", "color: var(--ink)")]:
        colour, own = named("color", body), named("background", body)
        for ground in [own] if own else GROUNDS:
            if colour:
                yield selector, colour, ground


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.005)


def test_the_dark_has_every_colour_of_the_light_and_rules_have_no_others() -> None:
    assert set(LIGHT) == set(DARK)
    others = {code for selector, body in RULES if selector != ":root" for code in re.findall(r"#[0-9a-f]{3,8}\b", body)}
    assert others == {"#fff", "#1c2127"}  # photos stand on white, and so does what stands for one that is missing
    assert contrast(rgb("#1c2127"), rgb("#ffffff")) >= TEXT_RATIO


@SCHEMES
def test_text_can_be_read(scheme: dict[str, str]) -> None:
    found = {use: contrast(rgb(scheme[use[1]]), rgb(scheme[use[2]])) for use in written()}
    assert {colour for _, colour, _ in found} == {"ink", "soft", "accent", "on-accent", "wrong"}
    assert not {use: ratio for use, ratio in found.items() if ratio < TEXT_RATIO}


@SCHEMES
def test_text_can_be_read_where_a_word_is_marked_or_a_photo_held(scheme: dict[str, str]) -> None:
    every = "".join(body for _, body in RULES)
    mixed = re.findall(r"color-mix\(in srgb, var\(--(\w+)\) (?:calc\(var\(--share\) \* )?(\d+)%", every)
    assert sorted(mixed) == [("accent", "12"), ("against", "40"), ("for", "40")]
    for name, percent in mixed:
        for ground in GROUNDS:
            behind = over(rgb(scheme[name]), int(percent) / 100, rgb(scheme[ground]))
            text = "accent" if name == "accent" else "ink"
            assert contrast(rgb(scheme[text]), behind) >= TEXT_RATIO, (name, ground)


@SCHEMES
@pytest.mark.parametrize("name", ["edge", "accent", "for", "against"])
def test_edges_and_marks_can_be_seen(scheme: dict[str, str], name: str) -> None:
    for ground in GROUNDS:
        assert contrast(rgb(scheme[name]), rgb(scheme[ground])) >= GRAPHIC_RATIO, ground
