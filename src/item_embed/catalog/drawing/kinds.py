"""What there is to sell: kinds of products with their possible attributes, brands and colours, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from item_embed.catalog.drawing.pen import RGB

Range = tuple[float, float]
STEPS = 4  # levels of a proportion
SCALES = (4, 6, 9)  # how often a pattern comes across a product

COLOURS: Mapping[str, RGB] = {
    "black": (36, 36, 40),
    "white": (242, 240, 236),
    "grey": (138, 141, 146),
    "red": (200, 40, 46),
    "navy": (32, 44, 94),
    "blue": (44, 100, 194),
    "sky blue": (132, 188, 230),
    "green": (46, 128, 74),
    "mint": (160, 218, 192),
    "olive": (112, 114, 62),
    "yellow": (244, 204, 60),
    "mustard": (204, 152, 46),
    "orange": (234, 124, 46),
    "pink": (240, 160, 186),
    "purple": (118, 74, 152),
    "brown": (118, 74, 48),
    "beige": (222, 206, 176),
    "teal": (34, 130, 134),
    "burgundy": (122, 30, 50),
}
_WOODS = ("brown", "beige", "mustard", "black", "burgundy", "orange", "white")
_CAMERA = ("black", "grey", "brown", "navy", "beige", "olive", "white", "red")

LINES = (
    "Aurora", "Nova", "Cascade", "Pro", "Urban", "Terra", "Luna", "Breeze", "Solo", "Heritage",
    "Prime", "Vista", "Echo", "Orbit", "Flow", "Metro", "Alpine", "Coast", "Atlas", "Juno",
    "Fjord", "Sierra", "Bloom", "Ember", "Haven", "Polar", "Quest", "Roma", "Tundra", "Willow",
)  # fmt: skip
#: How a material looks (see `textures.FINISHES`): what a photo tells of it.
FINISH: Mapping[str, str] = {
    **dict.fromkeys(("stoneware", "suede", "plastic", "velvet", "cotton", "silicone", "nylon", "wool"), "matt"),
    **dict.fromkeys(("ceramic", "porcelain", "glazed ceramic", "maple", "polyester", "acetate"), "gloss"),
    **dict.fromkeys(("enamel", "metal", "aluminium", "steel", "titanium", "cast iron", "stainless steel"), "metal"),
    **dict.fromkeys(("spruce", "mahogany", "rosewood", "wood", "oak", "beech", "bamboo"), "wood"),
    **dict.fromkeys(("canvas", "mesh", "linen", "organic cotton", "bouclé", "twill", "denim", "pongee"), "weave"),
    **dict.fromkeys(("leather", "faux leather", "leatherette"), "leather"),
    "glass": "glass",
}
STYLES = ("modern", "vintage", "classic", "minimalist", "retro", "elegant", "casual", "premium")


@dataclass(frozen=True)
class Brand:
    """A maker, the sign on its products (see `sketches.marks`), and the departments it sells in."""

    name: str
    sign: str
    departments: tuple[str, ...]


BRANDS = (
    Brand("Brimhollow", "drop", ("kitchen",)),
    Brand("Caldero", "ring", ("kitchen",)),
    Brand("Rook & Vale", "triangle", ("kitchen", "home")),
    Brand("Pindrift", "bars", ("kitchen", "travel")),
    Brand("Tessaro", "diamond", ("kitchen", "home")),
    Brand("Halvard", "chevron", ("home",)),
    Brand("Fennick", "leaf", ("home",)),
    Brand("Ostwick", "square", ("home",)),
    Brand("Marenzo", "diamond", ("fashion", "travel")),
    Brand("Lirelle", "moon", ("fashion",)),
    Brand("Veldwick", "chevron", ("fashion", "travel")),
    Brand("Suntaro", "sun", ("fashion",)),
    Brand("Zephira", "bolt", ("fashion", "sound")),
    Brand("Quillon", "star", ("fashion", "travel")),
    Brand("Tam & Oak", "leaf", ("travel", "sound")),
    Brand("Rovanik", "triangle", ("travel", "sound")),
    Brand("Auralyx", "ring", ("sound",)),
    Brand("Ombrino", "moon", ("sound",)),
    Brand("Kestwyn", "square", ("sound",)),
)


@dataclass(frozen=True)
class Kind:
    """A kind of product: where a shop files it, and what its products may be like."""

    name: str
    category: str  # three levels, "A > B > C"
    department: str
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    price: Range
    shape: Mapping[str, Range]  # proportions of its sketch; a product's stand at one of a few levels in them
    patterns: tuple[str, ...] = ("plain",)
    trims: tuple[str, ...] = ("black", "white", "grey", "brown", "beige")
    colours: tuple[str, ...] = tuple(COLOURS)
    stands: bool = True  # on a table; the others are laid flat or hung up
    steps: Mapping[str, int] = field(default_factory=dict)  # proportions with fewer levels than `STEPS`

    def levels(self) -> tuple[int, ...]:
        """How many levels each proportion has, in the order of `shape`."""
        return tuple(self.steps.get(name, STEPS) for name in self.shape)

    def proportions(self, levels: Sequence[int]) -> dict[str, float]:
        """The proportions at some levels: the middle of each level's part of the range."""
        return {
            name: low + (high - low) * (level + 0.5) / steps
            for (name, (low, high)), level, steps in zip(self.shape.items(), levels, self.levels(), strict=True)
        }

    def middle(self) -> dict[str, float]:
        """The proportions halfway through their ranges."""
        return {name: (low + high) / 2 for name, (low, high) in self.shape.items()}


_VESSEL = ("stripes", "bars", "dots", "checks", "zigzag", "stars", "diagonal", "blocks")
_CLOTH = ("stripes", "diagonal", "dots", "checks", "zigzag", "stars", "blocks", "bars")
_VOLUMES = ("250 ml", "300 ml", "350 ml", "400 ml", "450 ml")
_CLOTHES = ("S", "M", "L", "XL")
_METALS = ("grey", "mustard", "black", "beige")

KINDS = (
    Kind("mug", "Home > Kitchen > Mugs", "kitchen", ("ceramic", "porcelain", "stoneware", "enamel"),
         _VOLUMES, (6, 28),
         {"width": (0.38, 0.54), "height": (0.44, 0.66), "taper": (-0.05, 0.09), "handle": (0, 1),
          "grip": (0.12, 0.2)},
         _VESSEL,
         steps={"handle": 3}),
    Kind("sneaker", "Fashion > Shoes > Sneakers", "fashion", ("leather", "canvas", "mesh", "suede"),
         ("EU 38", "EU 39", "EU 40", "EU 41", "EU 42", "EU 43", "EU 44"), (35, 160),
         {"sole": (0.07, 0.13), "ankle": (-0.12, 0.17), "toe": (0.2, 0.27), "stripes": (0, 4),
          "laces": (3, 6.9)},
         ("plain",), ("white", "beige", "black", "orange", "mint", "yellow")),
    Kind("guitar", "Music > Instruments > Guitars", "sound", ("spruce", "mahogany", "maple", "rosewood"),
         ("full size", "3/4 size", "1/2 size", "travel size"), (70, 900),
         {"body": (0.4, 0.48), "waist": (0.56, 0.74), "upper": (0.7, 0.86), "length": (0.43, 0.53),
          "electric": (0, 1)},
         ("blocks",), ("brown", "black", "beige"), _WOODS, stands=False,
         steps={"electric": 2}),
    Kind("table lamp", "Home > Lighting > Table Lamps", "home", ("metal", "wood", "ceramic", "linen"),
         ("30 cm", "38 cm", "45 cm", "52 cm", "60 cm"), (18, 150),
         {"shade": (0.28, 0.42), "top": (0.4, 0.9), "width": (0.5, 0.78), "stem": (0, 3),
          "foot": (0.28, 0.44)},
         _CLOTH, (*_METALS, "brown", "white"),
         steps={"stem": 3}),
    Kind("handbag", "Fashion > Bags > Handbags", "fashion", ("leather", "faux leather", "canvas", "suede"),
         ("small", "medium", "large"), (25, 320),
         {"height": (0.36, 0.54), "width": (0.6, 0.86), "slope": (0.02, 0.13), "handle": (0.2, 0.34),
          "flap": (0, 1)},
         _CLOTH, ("brown", "black", "mustard", "beige", "burgundy"),
         steps={"flap": 2}),
    Kind("headphones", "Electronics > Audio > Headphones", "sound", ("aluminium", "plastic", "faux leather"),
         ("30 h battery", "40 h battery", "50 h battery", "wired", "60 h battery"), (25, 380),
         {"width": (0.56, 0.74), "cup": (0.13, 0.18), "tall": (1.1, 1.5), "band": (0.045, 0.085),
          "rest": (0, 1)},
         ("plain",), stands=False,
         steps={"rest": 2}),
    Kind("chair", "Home > Furniture > Chairs", "home", ("oak", "beech", "metal", "plastic", "velvet"),
         ("42 cm seat", "45 cm seat", "48 cm seat"), (30, 260),
         {"back": (0.34, 0.5), "width": (0.4, 0.54), "style": (0, 3), "leg": (0.026, 0.05),
          "round": (0.01, 0.09)},
         _CLOTH, ("brown", "black", "beige", "grey", "white"),
         steps={"style": 3}),
    Kind("T-shirt", "Fashion > Clothing > T-Shirts", "fashion",
         ("cotton", "organic cotton", "linen", "polyester"),
         _CLOTHES, (9, 60),
         {"width": (0.46, 0.6), "length": (0.66, 0.84), "sleeve": (0.16, 0.3), "neck": (0, 1),
          "print": (0, 3)},
         _CLOTH, stands=False,
         steps={"neck": 2, "print": 3}),
    Kind("watch", "Fashion > Accessories > Watches", "fashion", ("steel", "leather", "silicone", "titanium"),
         ("36 mm", "38 mm", "40 mm", "42 mm", "44 mm"), (40, 600),
         {"case": (0.19, 0.27), "strap": (0.56, 0.8), "square": (0, 1), "dials": (0, 3), "links": (0, 1)},
         ("plain",), (*_METALS, "burgundy", "white"), stands=False,
         steps={"square": 2, "dials": 2, "links": 2}),
    Kind("teapot", "Home > Kitchen > Teapots", "kitchen",
         ("porcelain", "stoneware", "cast iron", "glazed ceramic"),
         ("600 ml", "800 ml", "1 L", "1.2 L", "1.5 L"), (18, 90),
         {"width": (0.44, 0.54), "height": (0.34, 0.5), "spout": (0.1, 0.2), "knob": (0.03, 0.06),
          "handle": (0, 1)},
         _VESSEL,
         steps={"handle": 2}),
    Kind("backpack", "Travel > Luggage > Backpacks", "travel", ("nylon", "canvas", "polyester", "leather"),
         ("12 L", "16 L", "20 L", "25 L", "30 L"), (25, 180),
         {"width": (0.5, 0.66), "height": (0.64, 0.8), "top": (0.12, 0.28), "pocket": (0.28, 0.46),
          "roll": (0, 1)},
         _CLOTH, ("brown", "black", "beige", "grey", "orange"),
         steps={"roll": 2}),
    Kind("camera", "Electronics > Photo > Cameras", "sound", ("metal", "leatherette", "plastic"),
         ("12 MP", "16 MP", "20 MP", "24 MP", "35 mm film"), (90, 1200),
         {"width": (0.72, 0.9), "height": (0.42, 0.56), "lens": (0.15, 0.21), "hump": (0, 0.12),
          "side": (-0.1, 0.08)},
         ("blocks",), ("grey", "black", "beige", "white"), _CAMERA),
    Kind("sofa", "Home > Furniture > Sofas", "home", ("velvet", "linen", "leather", "bouclé"),
         ("2-seater", "3-seater", "180 cm", "210 cm"), (250, 1900),
         {"width": (0.8, 0.96), "back": (0.2, 0.34), "arm": (0.08, 0.15), "cushions": (1, 3.9),
          "leg": (0.03, 0.1)},
         ("stripes", "checks", "bars", "dots", "zigzag"), ("brown", "black", "beige", "mustard", "teal"),
         steps={"cushions": 3}),
    Kind("cap", "Fashion > Accessories > Caps", "fashion", ("cotton", "twill", "denim", "wool"),
         ("one size", "56 cm", "58 cm", "60 cm"), (10, 45),
         {"height": (0.34, 0.46), "width": (0.5, 0.6), "brim": (0.26, 0.36), "drop": (0.03, 0.12),
          "patch": (0, 1)},
         ("stripes", "checks", "dots", "blocks", "bars"),
         ("black", "white", "red", "navy", "mustard", "green"),
         steps={"patch": 2}),
    Kind("water bottle", "Home > Kitchen > Water Bottles", "kitchen",
         ("stainless steel", "glass", "plastic", "aluminium"),
         ("350 ml", "500 ml", "600 ml", "750 ml", "1 L"), (8, 45),
         {"width": (0.22, 0.34), "neck": (0.4, 0.8), "shoulder": (0.06, 0.2), "cap": (0.09, 0.16),
          "loop": (0, 1)},
         _VESSEL, ("black", "white", "grey", "brown", "orange", "teal"),
         steps={"loop": 2}),
    Kind("umbrella", "Travel > Accessories > Umbrellas", "travel", ("polyester", "nylon", "pongee"),
         ("90 cm", "100 cm", "105 cm", "120 cm"), (9, 60),
         {"width": (0.8, 0.98), "height": (0.3, 0.46), "panels": (4, 7.9), "scallop": (0.03, 0.08),
          "hook": (0, 1)},
         ("bars", "dots", "stars", "checks", "stripes"), ("brown", "black", "mustard", "red"), stands=False,
         steps={"hook": 2}),
    Kind("sunglasses", "Fashion > Accessories > Sunglasses", "fashion",
         ("acetate", "metal", "plastic", "bamboo"),
         ("small", "medium", "large", "52 mm", "55 mm"), (12, 190),
         {"lens": (0.17, 0.21), "tall": (0.62, 0.98), "corner": (0.3, 1.4), "rim": (0.018, 0.045),
          "cat": (-0.02, 0.07)},
         ("plain",), ("black", "brown", "teal", "mustard", "purple", "green", "blue"), stands=False),
    Kind("wall clock", "Home > Decor > Wall Clocks", "home", ("wood", "metal", "plastic", "glass"),
         ("20 cm", "25 cm", "30 cm", "35 cm", "40 cm"), (10, 110),
         {"radius": (0.36, 0.45), "rim": (0.03, 0.1), "sides": (0, 4), "ticks": (0, 3),
          "hands": (0.012, 0.03)},
         ("dots", "zigzag", "stripes", "checks"), ("white", "white", "beige", "black", "mint"), stands=False,
         steps={"ticks": 3}),
)  # fmt: skip
