"""How a seller photographs a product: angle, place, light, what is stuck on top, and the file's quality."""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from item_embed.catalog.drawing import lighting, scenes, stickers
from item_embed.catalog.drawing.painting import Painted, paint, project
from item_embed.catalog.drawing.pen import RGB, Drawing
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.scenes import Scene
from item_embed.catalog.drawing.sketches import sketch
from item_embed.catalog.drawing.tags import Tag

_SHADOW: RGB = (12, 10, 16)
_LARGEST = 0.955  # of a photo's width or height, for a product that is not cropped
_TUCKED = 0.6  # share of a tag that a tall product keeps clear of
_MOST_CUT = 0.15  # of the product, beyond the photo's edge
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class PhotoManner:
    """What a seller's photos have in common; each photo varies about it.

    Attributes:
        scene: the place.
        zoom: the product's longest side over the photo's.
        tilt: standard deviation of the turn, degrees, for a product that lies flat.
        turned: the most a product is turned away from the camera, as the share of its width that is lost.
        mirrors: share of photos that show the product from its other side, where it has no writing to be reversed.
        gain, gamma: brightness and contrast.
        cast: gain of red, green and blue.
        softness: radius of the blur, in thousandths of the photo's side.
        grain: standard deviation of the noise, grey levels.
        quality: of the JPEG file.
        watermark: the words across every photo, or "".
        badges: share of photos with a badge in a corner.
        covered: share of photos with something in front of the product.
        aspect: width and height of the photos, in parts.
        shadow: "soft" (on what is close behind), "contact" (at the foot) or "none" (cut out).
        lean: the most a product is tipped away from the camera, as the share of its height that is lost.
        keystone: how much larger the nearer side is than the farther one, at most, as a share.
        light_from, fall: one of eight directions, and the share of the light that is lost across the photo.
        vignette: share of the light that is lost in the corners.
        cropped: share of photos that cut a part of the product off.
        border: share of the photo's side that a frame takes at each edge.
        bars: share of the photo's height (width, where negative) that bars take above and below.
        frame: colour of border and bars.
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
    aspect: Size = (1, 1)
    shadow: str = "soft"
    lean: float = 0.0
    keystone: float = 0.0
    light_from: int = 5
    fall: float = 0.0
    vignette: float = 0.0
    cropped: float = 0.0
    border: float = 0.0
    bars: float = 0.0
    frame: RGB = (255, 255, 255)


@dataclass(frozen=True)
class _Light:
    """The light of one photo; see `PhotoManner`."""

    gain: float
    gamma: float
    cast: tuple[float, float, float]
    light_from: int
    fall: float
    noise: tuple[float, float]  # which part of the sheet of noise


@dataclass(frozen=True)
class _Ground:
    """Where a product is put: the photo's size, whether it stands on something, the tag that needs room."""

    size: Size
    stands: bool
    tag: Tag | None


@dataclass(frozen=True)
class _Placed:
    """Where the product lies in a photo: its projection and the box around it, pixels."""

    projection: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def take_photo(product: Product, manner: PhotoManner, random: np.random.Generator, side: int) -> Image.Image:
    """Photograph a product in a seller's manner.

    Args:
        product: what to photograph.
        manner: how its seller photographs.
        random: where this photo's own variation comes from.
        side: the longer of width and height, pixels.
    """
    longest = max(manner.aspect)
    size = (max(1, round(side * manner.aspect[0] / longest)), max(1, round(side * manner.aspect[1] / longest)))
    across, down = round(manner.border * side), round(manner.border * side)
    if manner.bars > 0:
        down += round(manner.bars * size[1])
    else:
        across += round(-manner.bars * size[0])
    if not across and not down:
        return _shot(product, manner, random, size)
    canvas = Image.new("RGB", size, manner.frame)
    inner = (size[0] - 2 * across, size[1] - 2 * down)
    canvas.paste(_shot(product, manner, random, inner), (across, down))
    return canvas


def as_jpeg(photo: Image.Image, quality: int) -> bytes:
    """The photo as a JPEG file."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _shot(product: Product, manner: PhotoManner, random: np.random.Generator, size: Size) -> Image.Image:
    scene = manner.scene
    stands = product.kind.stands and (scene.backdrop in ("table", "sweep") or manner.shadow == "contact")
    if scene.backdrop == "table" and not stands:
        scene = replace(scene, backdrop="surface")
    photo = scenes.spot(scene, size, *random.random(2).tolist())
    light = _light(manner, random)
    tag = Tag(product.tag, size, random) if product.tag else None
    drawing = sketch(product)
    placed = _place(drawing, manner, _Ground(size, stands, tag), random)
    _put(photo, drawing, placed, _shadow_of(manner, stands), random)
    kept = tag.box if tag else None
    if random.random() < manner.covered:
        stickers.cover(photo, kept, random)
    if manner.softness:
        photo = lighting.softened(photo, manner.softness * max(size) / 1000)
    if tag is not None:
        tag.draw(photo, project(drawing.points, placed.projection))
    photo = _lit(photo, manner, light)
    unmarked = photo.crop(kept) if kept and manner.watermark else None
    if manner.watermark:
        stickers.watermark(photo, manner.watermark)
    if tag is not None and unmarked is not None:
        tag.restore(photo, unmarked)
    if random.random() < manner.badges:
        stickers.badge(photo, kept, random)
    return photo


def _shadow_of(manner: PhotoManner, stands: bool) -> str:
    """A flat or hanging product cannot have its shadow at its foot."""
    if stands:
        return "contact"
    return "soft" if manner.shadow == "contact" else manner.shadow


def _place(drawing: Drawing, manner: PhotoManner, ground: _Ground, random: np.random.Generator) -> _Placed:
    """Choose the view, and how large and where in the photo the product comes to lie."""
    size, tag = ground.size, ground.tag
    view = _view(manner, ground.stands, _has_writing(drawing), random)
    points = project(drawing.points, view)
    low = points.min(0)
    extent = points.max(0) - low + 1e-6
    above, below = tag.room(_TUCKED) if tag is not None else (0.0, 0.0)
    room = np.array([size[0], size[1] - above - below])
    cut = float(random.uniform(0.04, _MOST_CUT)) if random.random() < manner.cropped else 0.0
    zoom = min(manner.zoom * random.normal(1, 0.05), _LARGEST)
    fits = (room / extent).tolist()
    scale = min(zoom * min(fits) * (1 + cut), _LARGEST * max(fits))
    spare = np.maximum(room - scale * extent, 0.0)
    if tag is not None:  # a low product leaves the tag more
        more = [min(0.6 * float(spare[1]), value) for value in tag.room(1.05 - _TUCKED)]
        above, spare[1] = above + more[0], spare[1] - sum(more)
    ease = [0.5 + max(-0.35, min(0.35, value)) for value in random.normal(0, 0.14, 2).tolist()]
    if ground.stands:
        ease[1] = 1 - min(0.45, 0.05 * size[1] / max(spare[1], 1e-6)) * random.uniform(0.7, 1.5)
    at = spare * ease + (0, above)
    if cut:
        at = _beyond(at, scale * extent, ground, (cut, random.random() < 0.5))
    shift = at - scale * low
    projection = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ view
    return _Placed(projection, at, at + scale * extent)


def _beyond(
    at: NDArray[np.float64], extent: NDArray[np.float64], ground: _Ground, cut: tuple[float, bool]
) -> NDArray[np.float64]:
    """Shift a product over an edge of the photo, the way it is long: by a share of its length, to the far side or not.

    What stands loses its top, never its feet; and nothing is shifted towards a tag.
    """
    share, far = cut
    axis = int(np.argmax(extent / ground.size))
    if axis == 1 and (ground.tag is not None or ground.stands):
        far = ground.tag is not None and not ground.tag.low
        if far and ground.stands:
            return at
    moved = ground.size[axis] - (1 - share) * extent[axis] if far else -share * extent[axis]
    return np.asarray(np.where(np.arange(2) == axis, moved, at))


def _has_writing(drawing: Drawing) -> bool:
    return any(part.stencil is not None for part in drawing.parts)


def _view(manner: PhotoManner, stands: bool, writing: bool, random: np.random.Generator) -> NDArray[np.float64]:
    """The projection about the unit square's centre: turned, foreshortened, mirrored, sheared, nearer on one side."""
    angle = np.deg2rad(random.normal(0, min(manner.tilt, 2.0) if stands else manner.tilt))
    mirrored = -1 if random.random() < manner.mirrors and not writing else 1
    width, height = 1 - manner.turned * random.random(), 1 - manner.lean * random.random()
    shear = random.normal(0, 0.02 if stands else 0.035)
    nearer = manner.keystone * random.uniform(-1, 1, 2)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    seen = np.array([[width * mirrored, shear, 0], [0, height, 0], [nearer[0], nearer[1], 1]])
    return np.asarray(turn @ seen @ np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]))


def _put(photo: Image.Image, drawing: Drawing, placed: _Placed, shadow: str, random: np.random.Generator) -> None:
    """Paint the product, and its shadow, into the photo."""
    edge = max(2, round(max(photo.size) / 100))
    left, top = (max(0, int(value) - edge) for value in placed.low.tolist())
    right, bottom = (
        min(whole, int(value) + edge + 1) for whole, value in zip(photo.size, placed.high.tolist(), strict=True)
    )
    if right <= left or bottom <= top:
        return
    to_box = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    painted = paint(drawing, to_box @ placed.projection, (right - left, bottom - top))
    _shade(photo, painted, (left, top), shadow, random)
    photo.paste(painted.colours, (left, top), painted.cover)


def _shade(photo: Image.Image, painted: Painted, at: tuple[int, int], shadow: str, random: np.random.Generator) -> None:
    fall, lean, side = random.uniform(0.012, 0.04), random.uniform(-0.03, 0.03), max(photo.size)
    if shadow == "soft":  # on a backdrop close behind
        _shadow(photo, painted.cover, (at[0] + round(lean * side), at[1] + round(side * fall)), (0.34, 2))
    elif shadow == "contact":  # the silhouette pressed flat at the product's foot
        width, height = painted.cover.size
        deep = max(3, round(height * 0.14))
        flat = painted.cover.resize((width, deep), Image.Resampling.BOX)
        _shadow(photo, flat, (at[0] + round(lean * side), at[1] + height - round(deep * 0.66)), (0.55, 3))


def _shadow(photo: Image.Image, mask: Image.Image, at: tuple[int, int], look: tuple[float, int]) -> None:
    """Darken the photo under a mask, softened at a fraction of its resolution; the look is (darkness, sharpness)."""
    darkness, sharpness = look
    coarse = 2 if max(photo.size) < 100 else 4
    reach = max(1, max(photo.size) // (8 * coarse))
    small = mask.resize((max(1, mask.width // coarse), max(1, mask.height // coarse)), Image.Resampling.BOX)
    soft = Image.new("L", (small.width + 2 * reach, small.height + 2 * reach))
    soft.paste(round(255 * darkness), (reach, reach), small)
    soft = soft.filter(ImageFilter.BoxBlur(max(1, reach // sharpness)))
    soft = soft.resize((coarse * soft.width, coarse * soft.height), Image.Resampling.BILINEAR)
    photo.paste(Image.new("RGB", soft.size, _SHADOW), (at[0] - coarse * reach, at[1] - coarse * reach), soft)


def _light(manner: PhotoManner, random: np.random.Generator) -> _Light:
    """Choose this photo's light, before anything that may or may not be in the photo."""
    gain, contrast, warm = (random.normal(0, 1, 3) * (0.04, 0.04, 0.012)).tolist()
    turn, dim, *noise = random.random(4).tolist()
    red, green, blue = manner.cast
    fall = manner.fall * (0.6 + 0.7 * dim)
    return _Light(
        gain=manner.gain * (1 + gain) * (1 + 0.4 * fall + 0.1 * manner.vignette),  # as a camera makes up for it
        gamma=manner.gamma * (1 + contrast),
        cast=(red * (1 + warm), green, blue * (1 - warm)),
        light_from=manner.light_from + int(turn * 3) - 1,
        fall=fall,
        noise=(noise[0], noise[1]),
    )


def _lit(photo: Image.Image, manner: PhotoManner, light: _Light) -> Image.Image:
    photo = lighting.exposed(photo, light.gain, light.gamma, light.cast)
    photo = lighting.fallen_on(photo, light.light_from, light.fall, manner.vignette)
    return lighting.grained(photo, manner.grain, *light.noise) if manner.grain else photo
