"""Photos of a simulated second listing: the product taken again, or staged anew.

Each is a pure function of (photo, key): equal arguments give equal pixels, in any process. A photo is an RGB image of
any size. None of the changes is one that masked tasks see in training (`augmentation`). Agreement, and the baselines
that learn from `views` of photos (`resnet50`, `resnet50-categories`, `concatenation`), practise changes of the same
kinds by code of their own: frame, light, background, something in front. What they find of relistings says that they
stand such changes, and less of what sellers do.
"""

import colorsys
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from item_embed.catalog.photos.images import SMALLEST_SIDE
from item_embed.evaluation.altered_photos import background, blur, border_colour, has_flat_border, joined_to_border
from item_embed.hashing import uniform

_VIEW, _LEAN, _LIGHT, _LENS, _GRAIN, _GROUND, _SHADOW, _LABEL, _FILE = range(511, 520)  # streams that nothing else uses

_CORNERS = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])  # of a frame, from its middle
_LEANS = 0.09  # of a frame's sides, by which perspective moves a corner at most
_PLAIN = 10  # levels by which a plain background may differ from the border's colour: pale clothes differ by more
_LEAST = 0.02  # of the photo that must be product for its background to be exchanged
_LABELS = ((200, 30, 40), (245, 200, 40), (30, 90, 170), (24, 24, 28), (250, 250, 250), (40, 140, 80))
_DARK, _LIGHT_INK = (24, 24, 28), (250, 250, 250)


def reshot_photo(image: Image.Image, key: int) -> Image.Image:
    """The product before another camera: a frame of another shape, turned, other light, slightly out of focus.

    Examples:
        >>> reshot_photo(Image.new("RGB", (60, 80)), key=7).mode
        'RGB'
    """
    zoom, aspect, degrees, across, down = _between(
        key, _VIEW, (0.75, 1.1), (-0.3, 0.3), (-10, 10), (-0.06, 0.06), (-0.06, 0.06)
    )
    gamma, warmth, fall, towards = _between(key, _LIGHT, (-0.4, 0.4), (-0.08, 0.08), (-0.25, 0.35), (0, 2 * math.pi))
    (softness,) = _between(key, _LENS, (0, 0.01))
    seen = reframe(image, zoom=zoom, aspect=math.exp(aspect), degrees=degrees, shift=(across, down))
    lit = relight(seen, gamma=math.exp(gamma), gains=(1 + warmth, 1, 1 - warmth), fall=max(0.0, fall), towards=towards)
    return blur(lit, softness)


def restaged_photo(image: Image.Image, key: int) -> Image.Image:
    """The product staged by another seller: from an angle, before a background of theirs, a label in front.

    A background is exchanged where it is plain. Colours are tinted, and there is noise.

    Examples:
        >>> restaged_photo(Image.new("RGB", (60, 80)), key=7).mode
        'RGB'
    """
    zoom, aspect, across, down = _between(key, _VIEW, (0.85, 1.2), (-0.15, 0.15), (-0.06, 0.06), (-0.06, 0.06))
    lean = _LEANS * (2 * uniform(key, _LEAN, np.arange(8)).reshape(4, 2) - 1)
    gamma, red, green, blue, fall, towards = _between(
        key, _LIGHT, (-0.25, 0.25), (0.86, 1.1), (0.9, 1.06), (0.86, 1.1), (0, 0.2), (0, 2 * math.pi)
    )
    (noise,) = _between(key, _LENS, (2, 10))
    seen = reframe(image, zoom=zoom, aspect=math.exp(aspect), shift=(across, down), lean=lean)
    staged = replace_background(seen, key)
    lit = relight(staged, gamma=math.exp(gamma), gains=(red, green, blue), fall=fall, towards=towards)
    return add_noise(put_label(lit, key), noise, key)


def as_jpeg(image: Image.Image, key: int) -> bytes:
    """A photo as a JPEG file of a drawn quality, between 40 and 85 of Pillow's scale."""
    file = io.BytesIO()
    (quality,) = _between(key, _FILE, (40, 85))
    image.save(file, "JPEG", quality=round(quality))
    return file.getvalue()


def reframe(
    image: Image.Image,
    *,
    zoom: float = 1,
    aspect: float = 1,
    degrees: float = 0,
    shift: tuple[float, float] = (0, 0),
    lean: ArrayLike = 0,
) -> Image.Image:
    """What another frame shows of a photo. The product keeps its proportions, but for `lean`.

    Around a photo with a flat border its colour goes on. In any other the frame stays within the photo.

    Args:
        image: the photo.
        zoom: sides of the frame as a share of the photo's, before `aspect`.
        aspect: width over height of the frame as a multiple of the photo's.
        degrees: by which the frame is turned; less, the longer the photo is for its width.
        shift: of the frame's middle, to the right and down, as shares of the photo's sides.
        lean: (4, 2) by which each corner moves, from the upper left one clockwise, as shares of the frame's sides.

    Returns:
        A photo of the frame's shape, as large as fits the photo's sides, no side below `SMALLEST_SIDE`.
    """
    size = np.array(image.size, np.float64)
    frame = size * zoom * np.array([aspect**0.5, aspect**-0.5])
    angle = math.radians(degrees) * size.min() / size.max()
    turn = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    corners = size * (0.5 + np.array(shift)) + (_CORNERS + lean) * frame @ turn
    if not has_flat_border(image):
        corners = np.clip(corners, 0, size)
    width, height = (max(SMALLEST_SIDE, round(side)) for side in frame * (size / frame).min())
    fill = tuple(int(channel) for channel in border_colour(image))
    projection = _projection((_CORNERS + 0.5) * (width, height), corners)
    perspective, bicubic = Image.Transform.PERSPECTIVE, Image.Resampling.BICUBIC
    return image.transform((width, height), perspective, projection, bicubic, fillcolor=fill)


def relight(image: Image.Image, *, gamma: float, gains: Sequence[float], fall: float, towards: float) -> Image.Image:
    """A photo in other light: 255 * gain * (x / 255) ** gamma, and darker towards one side.

    Args:
        image: the photo.
        gamma: above 1 it darkens middle tones, below 1 it brightens them.
        gains: of red, green and blue.
        fall: share of the light that is missing where it is darkest.
        towards: where that is, radians: 0 on the right, a quarter turn below.
    """
    x, y = math.cos(towards), math.sin(towards)
    across, down = (np.linspace(-0.5, 0.5, side) if side > 1 else np.zeros(1) for side in image.size)
    away = 0.5 + (x * across + y * down[:, None]) / (abs(x) + abs(y))  # (height, width), from 0 to 1
    light = 255 * np.array(gains) * (1 - fall * away)[..., None]
    return _image((np.asarray(image) / 255) ** gamma * light)


def replace_background(image: Image.Image, key: int) -> Image.Image:
    """A photo whose plain background became a wall and a surface of a drawn colour, with the product's shadow on them.

    Where the product darkens the old background it darkens the new one. A photo without a flat border, or with hardly
    anything before it, comes back as it is.
    """
    if not has_flat_border(image):
        return image
    product = product_mask(image)
    if product.mean() < _LEAST:
        return image
    unit = min(image.size) / 100
    pixels = np.asarray(image, np.float64)
    shading = np.clip((pixels + 1) / (border_colour(image) + 1), 0, 1)  # + 1: a border may be black
    ground = _ground(image.size, key) * shading * _shadow(product, key)[..., None]
    # Along the outline pixels are a mixture with the old background: there it is shading, not the product, that shows.
    rim = 2 * max(1, round(unit)) + 1
    inside = _mask(product).filter(ImageFilter.MinFilter(rim)).filter(ImageFilter.GaussianBlur(unit / 2))
    share = np.asarray(inside)[..., None] / 255
    return _image(share * pixels + (1 - share) * ground)


def product_mask(image: Image.Image) -> NDArray[np.bool_]:
    """(height, width) True for what stands before a plain background, with what only a narrow gap leads into.

    So pale clothes on white, whose outline has gaps, stay whole.
    """
    reach = 2 * max(1, round(0.02 * min(image.size))) + 1
    plain = background(image, _PLAIN)
    closed = _mask(~plain).filter(ImageFilter.MaxFilter(reach)).filter(ImageFilter.MinFilter(reach))
    outside = joined_to_border(np.asarray(closed) == 0)
    corners = np.asarray(_mask(outside).filter(ImageFilter.MaxFilter(reach))) > 0  # closing filled them, too
    return ~(outside | (corners & plain))


def put_label(image: Image.Image, key: int) -> Image.Image:
    """A photo with a seller's label near a corner: a box of one colour, with two lines on it."""
    colour, width, height, across, down, right, below = _between(
        key, _LABEL, (0, len(_LABELS)), (0.2, 0.38), (0.08, 0.18), (0.02, 0.2), (0.02, 0.2), (0, 2), (0, 2)
    )
    paper = _LABELS[int(colour)]
    ink = _DARK if sum(paper) > 400 else _LIGHT_INK
    size = np.array(image.size)
    box, inset = size * (width, height), size * (across, down)
    start = np.where([right >= 1, below >= 1], size - box - inset, inset)
    labelled = image.copy()
    pen = ImageDraw.Draw(labelled)
    parts = (((0, 0), (1, 1), paper), ((0.12, 0.2), (0.88, 0.42), ink), ((0.12, 0.6), (0.6, 0.76), ink))
    for first, last, fill in parts:
        pen.rectangle([tuple(np.rint(start + box * place).tolist()) for place in (first, last)], fill=fill)
    return labelled


def add_noise(image: Image.Image, deviation: float, key: int) -> Image.Image:
    """A photo with noise, independent and triangular in every pixel and channel, of a standard deviation in levels."""
    pixels = np.asarray(image, np.float64)
    one, other = uniform(key, _GRAIN, np.arange(2)[:, None], np.arange(pixels.size))
    return _image(pixels + deviation * math.sqrt(6) * (one - other).reshape(pixels.shape))


def _ground(size: tuple[int, int], key: int) -> NDArray[np.float64]:
    """(height, width, 3) a wall above a surface of a darker shade, levels."""
    hue, saturation, value, horizon, darker = _between(
        key, _GROUND, (0, 1), (0.03, 0.4), (0.4, 0.95), (0.6, 1.0), (0.0, 0.25)
    )
    width, height = size
    wall = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    below = np.clip((np.arange(height) / height - horizon) * 20, 0, 1)
    rows = wall * (1 - darker * below)[:, None]
    return np.broadcast_to(rows[:, None], (height, width, 3))


def _shadow(product: NDArray[np.bool_], key: int) -> NDArray[np.float64]:
    """(height, width) share of the light that the product lets through to what is behind it."""
    height, width = product.shape
    across, down, depth = _between(key, _SHADOW, (-0.08, 0.08), (0.0, 0.06), (0.15, 0.45))
    moved = (1, 0, -across * width, 0, 1, -down * height)
    thrown = _mask(product).transform((width, height), Image.Transform.AFFINE, moved)
    return 1 - depth * np.asarray(thrown.filter(ImageFilter.GaussianBlur(0.05 * min(width, height)))) / 255


def _projection(places: NDArray[np.float64], corners: NDArray[np.float64]) -> list[float]:
    """The eight numbers of the projection that leads from four places, (4, 2), to four corners, (4, 2).

    (x, y) -> ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1))
    """
    equations = []
    for (x, y), (u, v) in zip(places, corners, strict=True):
        equations += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
    solved: list[float] = np.linalg.solve(np.array(equations), corners.ravel()).tolist()
    return solved


def _between(key: int, stream: int, *ranges: tuple[float, float]) -> list[float]:
    """A number drawn uniformly from each of some ranges."""
    draws = uniform(key, stream, np.arange(len(ranges)))
    return [low + (high - low) * float(draw) for (low, high), draw in zip(ranges, draws, strict=True)]


def _mask(marked: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(marked, 255, 0).astype(np.uint8))


def _image(levels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))
