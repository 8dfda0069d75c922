"""The sellers of the marketplace: each has a manner of photographing and a manner of writing titles."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from item_embed.catalog.drawing.pen import RGB
from item_embed.catalog.drawing.photos import PhotoManner
from item_embed.catalog.drawing.products import pick, rng
from item_embed.catalog.drawing.scenes import Scene
from item_embed.catalog.drawing.titles import TitleManner, make_title_manner

SELLERS = 48
_SELLER_STREAM = 2
_FIRST = (
    "Blue",
    "North",
    "Happy",
    "Golden",
    "City",
    "Quick",
    "Green",
    "Corner",
    "Silver",
    "Sunny",
    "Old Town",
    "River",
)
_LAST = ("Bazaar", "Goods", "Outlet", "Supply")
_WALLS = (
    (236, 232, 224),
    (214, 224, 230),
    (228, 214, 200),
    (200, 210, 196),
    (226, 206, 208),
    (190, 198, 208),
)
_GROUNDS: tuple[tuple[str, RGB], ...] = (
    ("wood", (176, 130, 88)),
    ("wood", (112, 78, 54)),
    ("wood", (208, 182, 148)),
    ("linen", (214, 204, 188)),
    ("linen", (128, 136, 148)),
    ("marble", (226, 224, 222)),
    ("concrete", (166, 166, 164)),
    ("concrete", (98, 102, 110)),
)
_PAPERS = (
    (255, 255, 255),
    (255, 255, 255),
    (255, 255, 255),
    (240, 240, 242),
    (228, 232, 238),
    (246, 238, 224),
    (206, 222, 232),
)
_BACKDROPS = ("plain", "plain", "plain", "plain", "graded", "sweep", "surface", "surface", "surface", "table")
_ASPECTS = ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (4, 5), (3, 4), (4, 3))
_FRAMES = ((255, 255, 255), (255, 255, 255), (255, 255, 255), (246, 244, 240), (226, 228, 232),
           (24, 24, 26), (60, 84, 130), (190, 60, 60))  # fmt: skip


@dataclass(frozen=True)
class Seller:
    """One seller."""

    name: str
    photo: PhotoManner
    title: TitleManner
    markup: float  # price over the maker's


@lru_cache(maxsize=1024)
def make_seller(seed: int, number: int) -> Seller:
    """Make seller `number`, from 0 to `SELLERS - 1`, of the marketplace `seed`."""
    random = rng(seed, _SELLER_STREAM, number)
    name = f"{_FIRST[number % len(_FIRST)]} {_LAST[number // len(_FIRST) % len(_LAST)]}"
    return Seller(
        name, _photo_manner(random, name, number), make_title_manner(random), float(random.uniform(0.9, 1.15))
    )


def _photo_manner(random: np.random.Generator, name: str, number: int) -> PhotoManner:
    backdrop = pick(random, _BACKDROPS)
    wall = pick(random, _PAPERS if backdrop == "plain" else _WALLS)
    surface, ground = pick(random, _GROUNDS)
    warm = float(random.normal(0, 0.03))
    framed = pick(random, ("", "", "", "", "", "", "border", "bars"))
    return PhotoManner(
        scene=Scene(backdrop, surface, wall, ground, number),
        zoom=float(random.uniform(0.72, 0.97)),
        tilt=pick(random, (0.5, 3, 6, 12)),
        turned=pick(random, (0, 0.08, 0.2)),
        mirrors=pick(random, (0, 0, 0.5)),
        gain=float(random.uniform(0.93, 1.07)),
        gamma=float(random.uniform(0.82, 1.2)),
        cast=(1 + warm, 1.0, 1 - warm),
        softness=pick(random, (0, 0, 0, 2.5, 4)),
        grain=pick(random, (0, 0, 2, 4)),
        quality=int(random.integers(60, 96)),
        watermark=name if random.random() < 0.15 else "",
        badges=pick(random, (0, 0, 0.1, 0.4)),
        covered=pick(random, (0, 0, 0.1, 0.2)),
        aspect=pick(random, _ASPECTS),
        shadow=pick(random, ("soft", "contact", "none")) if backdrop in ("plain", "graded") else "soft",
        lean=pick(random, (0, 0, 0.08, 0.18)),
        keystone=pick(random, (0, 0, 0.1, 0.2)),
        light_from=int(random.integers(8)),
        fall=pick(random, (0, 0, 0.15, 0.3)),
        vignette=pick(random, (0, 0, 0, 0.2, 0.4)),
        cropped=pick(random, (0, 0, 0.1, 0.35)),
        border=float(random.uniform(0.015, 0.06)) if framed == "border" else 0.0,
        bars=float(random.choice([-1, 1]) * random.uniform(0.06, 0.14)) if framed == "bars" else 0.0,
        frame=pick(random, _FRAMES[: None if framed == "border" else 6]),
    )
