"""How a seller photographs a product: angle, place, light, what is stuck on top, and the file's quality."""

import io
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from item_embed.catalog.drawing import scenes, shapes
from item_embed.catalog.drawing.pen import Pen
from item_embed.catalog.drawing.products import Product, pick
from item_embed.catalog.drawing.scenes import Scene
from item_embed.catalog.drawing.sketches import SKETCHES

_SUPERSAMPLING = 2
_SHADOW = (12, 10, 16)
_BADGES = (
    ("SALE", (214, 40, 44)),
    ("NEW", (30, 130, 76)),
    ("-20%", (226, 110, 30)),
    ("TOP", (40, 80, 170)),
    ("-35%", (200, 30, 90)),
)


@dataclass(frozen=True)
class PhotoManner:
    """What a seller's photos have in common; each photo varies about it.

    Attributes:
        scene: the place.
        zoom: side of the product's square over the photo's side.
        tilt: standard deviation of the turn, degrees, for a product that lies flat.
        turned: the most a product is turned away from the camera, as the share of its width that is lost.
        mirrors: share of photos that show the product from its other side.
        gain, gamma: brightness and contrast.
        cast: gain of red, green and blue.
        softness: radius of the blur, in thousandths of the photo's side.
        grain: standard deviation of the noise, grey levels.
        quality: of the JPEG file.
        watermark: the words across every photo, or "".
        badges: share of photos with a badge in a corner.
        covered: share of photos with something in front of the product.
    """

    scene: Scene
    zoom: float
    tilt: float
    turned: float
    mirrors: float
    gain: float
    gamma: float
    cast: tuple[float, float, float]
    softness: float
    grain: float
    quality: int
    watermark: str
    badges: float
    covered: float


def take_photo(product: Product, manner: PhotoManner, random: np.random.Generator, side: int) -> Image.Image:
    """Photograph a product in a seller's manner.

    Args:
        product: what to photograph.
        manner: how its seller photographs.
        random: where this photo's own variation comes from.
        side: width and height, pixels.
    """
    scene = manner.scene
    stands = scene.backdrop == "table" and product.kind.stands
    if scene.backdrop == "table" and not stands:
        scene = replace(scene, backdrop="surface")
    photo = scenes.spot(scene, side, *random.random(2).tolist())
    item = _cut_out(product, _view(manner, stands, random, side * _SUPERSAMPLING), side)
    _place(photo, item, stands, random)
    if random.random() < manner.covered:
        _cover(photo, random)
    photo = _light(photo, manner, random)
    if random.random() < manner.badges:
        _badge(photo, random)
    if manner.watermark:
        photo.paste((255, 255, 255), (0, 0), _watermark(manner.watermark, side))
    return photo


def as_jpeg(photo: Image.Image, quality: int) -> bytes:
    """The photo as a JPEG file."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _view(manner: PhotoManner, stands: bool, random: np.random.Generator, pixels: int) -> NDArray[np.float64]:
    """The affine map (2, 3) from the unit square to the layer: turned, foreshortened, mirrored, sheared."""
    angle = np.deg2rad(random.normal(0, min(manner.tilt, 2.5) if stands else manner.tilt))
    zoom = manner.zoom * random.normal(1, 0.05) * pixels
    width = zoom * (1 - manner.turned * random.random())
    mirrored = -1 if random.random() < manner.mirrors else 1
    shear = random.normal(0, 0.04)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[width * mirrored, shear * zoom], [0, zoom]])
    shift = pixels / 2 - linear @ (0.5, 0.5)
    return np.column_stack([linear, shift])


def _cut_out(product: Product, view: NDArray[np.float64], side: int) -> Image.Image:
    pen = Pen(side * _SUPERSAMPLING, view)
    SKETCHES[product.kind.name](pen, product)
    return pen.layer.reduce(_SUPERSAMPLING)


def _place(photo: Image.Image, item: Image.Image, stands: bool, random: np.random.Generator) -> None:
    """Put the product, with its shadow, in the middle of the photo or on the table."""
    across, down, fall = random.normal(0, 0.025), random.normal(0, 0.025), random.uniform(0.015, 0.04)
    box, side = item.getbbox(), photo.width
    if box is None:
        return
    left = round((side - box[2] + box[0]) / 2 + across * side)
    top = round((side - box[3] + box[1]) / 2 + down * side)
    if stands:
        top = max(0, min(round(side * (0.9 + down)) - (box[3] - box[1]), top + side // 4))
    if box[0] == 0 or box[2] == side:  # cut by the frame: it must stay there
        left = box[0]
    if box[1] == 0 or box[3] == side:
        top = box[1]
    item = item.crop(box)
    if stands:
        _floor_shadow(photo, item, left, top)
    else:
        _drop_shadow(photo, item, left + side // 55, top + round(side * fall))
    photo.paste(item, (left, top), item)


def _drop_shadow(photo: Image.Image, item: Image.Image, left: int, top: int) -> None:
    """The shadow on a backdrop close behind."""
    _shadow(photo, item.getchannel("A"), (left, top), (0.32, 2))


def _floor_shadow(photo: Image.Image, item: Image.Image, left: int, top: int) -> None:
    """The shadow on the table: the silhouette pressed flat at the product's foot."""
    deep = max(3, round(item.height * 0.16))
    flat = item.getchannel("A").resize((item.width, deep))
    _shadow(photo, flat, (left, top + item.height - round(deep * 0.62)), (0.5, 3))


def _shadow(photo: Image.Image, mask: Image.Image, at: tuple[int, int], look: tuple[float, int]) -> None:
    """Darken the photo under a mask, softened at half its resolution; the look is (darkness, sharpness)."""
    darkness, sharpness = look
    reach = max(1, photo.width // 16)
    small = mask.resize((max(1, mask.width // 2), max(1, mask.height // 2)))
    soft = Image.new("L", (small.width + 2 * reach, small.height + 2 * reach))
    soft.paste(small.point([round(level * darkness) for level in range(256)]), (reach, reach))
    soft = soft.filter(ImageFilter.BoxBlur(max(1, reach // sharpness)))
    soft = soft.resize((2 * soft.width, 2 * soft.height))
    photo.paste(_SHADOW, (at[0] - 2 * reach, at[1] - 2 * reach), soft)


def _light(photo: Image.Image, manner: PhotoManner, random: np.random.Generator) -> Image.Image:
    gain = manner.gain * random.normal(1, 0.04)
    levels = np.linspace(0, 1, 256) ** (manner.gamma * random.normal(1, 0.04))
    table = np.concatenate([np.clip(255 * gain * tint * levels, 0, 255) for tint in manner.cast])
    photo = photo.point(table.astype(int).tolist())
    if manner.softness:
        photo = photo.filter(ImageFilter.BoxBlur(manner.softness * photo.width / 1000))
    if manner.grain:
        noise = random.integers(0, 256, (photo.height, photo.width), np.uint8)
        veil = Image.fromarray(noise).convert("RGB")
        photo = Image.blend(photo, veil, manner.grain / 74)  # 74: the deviation of uniform noise on 0..255
    return photo


def _cover(photo: Image.Image, random: np.random.Generator) -> None:
    """Put a leaf or a price card in front, at a corner of the product."""
    side = photo.width
    span = side * 0.45
    x, y = pick(random, ((0.62, 0.6), (0.06, 0.62), (0.64, 0.1), (0.05, 0.12)))
    pen = Pen(round(span) * 2, np.array([[2 * span, 0, 0], [0, 2 * span, 0]]))
    if random.random() < 0.5:
        for turn in (0, 50, 100):
            c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
            leaf = shapes.smooth((0, 0), (0.2, -0.07), (0.4, -0.02), (0.44, 0), (0.4, 0.02), (0.2, 0.07))
            pen.fill(leaf @ np.array([[c, s], [-s, c]]) + (0.45, 0.4), (70, 122, 74), "side")
    else:
        pen.fill(shapes.box(0.15, 0.3, 0.85, 0.7, 0.03), (250, 248, 240), "down")
        pen.text(pick(random, ("only 1 left", "best price", "in stock", "sample")), (0.5, 0.5), 0.12, (60, 60, 66))
    card = pen.layer.reduce(2)
    photo.paste(card, (round(x * side), round(y * side)), card)


def _badge(photo: Image.Image, random: np.random.Generator) -> None:
    words, colour = pick(random, _BADGES)
    badge = _badge_image(words, colour, round(photo.width * 0.23))
    far = photo.width - badge.width - 4
    photo.paste(badge, pick(random, ((4, 4), (far, 4), (far, far))), badge)


@lru_cache(maxsize=64)
def _badge_image(words: str, colour: tuple[int, int, int], side: int) -> Image.Image:
    pen = Pen(2 * side, np.array([[2.0 * side, 0, 0], [0, 2 * side, 0]]))
    pen.fill(shapes.ellipse(0.5, 0.5, 0.48, 0.48), colour)
    pen.text(words, (0.5, 0.5), 0.26, (255, 255, 255), turn=-8)
    return pen.layer.reduce(2)


@lru_cache(maxsize=256)
def _watermark(words: str, side: int) -> Image.Image:
    pen = Pen(side, np.array([[float(side), 0, 0], [0, side, 0]]))
    for y in (0.25, 0.55, 0.85):
        pen.text(words, (0.5, y), 0.075, (255, 255, 255), turn=-20)
    return pen.layer.getchannel("A").point([round(level * 0.3) for level in range(256)])
