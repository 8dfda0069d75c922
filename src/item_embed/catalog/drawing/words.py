"""The words that sellers have for the attributes of products, as data."""

from collections.abc import Mapping

Words = Mapping[str, tuple[str, ...]]

KIND_WORDS: Words = {
    "mug": ("mug", "coffee mug", "cup", "coffee cup", "tea mug"),
    "teapot": ("teapot", "tea pot", "tea kettle", "pot for tea"),
    "water bottle": ("water bottle", "drinking bottle", "bottle", "flask", "sports bottle"),
    "table lamp": ("table lamp", "desk lamp", "bedside lamp", "lamp", "night light"),
    "chair": ("chair", "dining chair", "kitchen chair", "side chair", "seat"),
    "sofa": ("sofa", "couch", "settee", "lounge sofa"),
    "wall clock": ("wall clock", "clock", "kitchen clock", "quartz wall clock"),
    "T-shirt": ("T-shirt", "tee", "t shirt", "short sleeve top", "tee shirt"),
    "sneaker": ("sneakers", "trainers", "sports shoes", "running shoes", "kicks"),
    "cap": ("cap", "baseball cap", "hat", "snapback", "dad hat"),
    "sunglasses": ("sunglasses", "shades", "sun glasses", "sunnies", "sun specs"),
    "handbag": ("handbag", "hand bag", "purse", "tote", "top handle bag"),
    "backpack": ("backpack", "rucksack", "daypack", "school bag", "laptop backpack"),
    "umbrella": ("umbrella", "rain umbrella", "brolly", "stick umbrella"),
    "watch": ("watch", "wristwatch", "wrist watch", "quartz watch", "timepiece"),
    "headphones": ("headphones", "over-ear headphones", "headset", "stereo headphones", "cans"),
    "camera": ("camera", "pocket camera", "cam", "compact camera", "photo camera"),
    "guitar": ("guitar", "6-string guitar", "beginner guitar", "six string guitar"),
}

COLOUR_WORDS: Words = {
    "black": ("black", "jet black", "noir"),
    "white": ("white", "ivory", "off-white"),
    "grey": ("grey", "gray", "silver grey"),
    "red": ("red", "bright red", "scarlet"),
    "navy": ("navy", "navy blue", "dark blue"),
    "blue": ("blue", "royal blue", "cobalt"),
    "sky blue": ("sky blue", "light blue", "baby blue"),
    "green": ("green", "forest green", "emerald"),
    "mint": ("mint", "mint green", "light green"),
    "olive": ("olive", "olive green", "khaki"),
    "yellow": ("yellow", "lemon", "sun yellow"),
    "mustard": ("mustard", "ochre", "dark yellow"),
    "orange": ("orange", "tangerine"),
    "pink": ("pink", "rose", "blush"),
    "purple": ("purple", "violet", "plum"),
    "brown": ("brown", "chocolate", "tan"),
    "beige": ("beige", "sand", "cream"),
    "teal": ("teal", "petrol", "blue-green"),
    "burgundy": ("burgundy", "wine red", "maroon"),
}

PATTERN_WORDS: Words = {
    "plain": ("plain", "solid colour", "uni"),
    "stripes": ("striped", "stripes", "stripe pattern"),
    "bars": ("vertical stripes", "striped", "pinstripe"),
    "diagonal": ("diagonal stripes", "striped", "candy stripe"),
    "dots": ("polka dot", "dotted", "spotted"),
    "checks": ("checked", "plaid", "gingham", "tartan"),
    "zigzag": ("zigzag", "chevron", "zig zag print"),
    "stars": ("star print", "stars", "starry"),
    "blocks": ("two-tone", "colour block", "bicolour"),
}

SHORT: Mapping[str, str] = {
    "black": "blk",
    "white": "wht",
    "green": "grn",
    "yellow": "ylw",
    "purple": "prpl",
    "brown": "brn",
    "navy": "nvy",
    "blue": "bl",
    "stainless": "s/steel",
    "ceramic": "cer.",
    "porcelain": "porc.",
    "leather": "lthr",
    "cotton": "cttn",
    "polyester": "poly",
    "aluminium": "alu",
    "vintage": "vtg",
    "medium": "med",
    "large": "lge",
    "small": "sml",
    "bottle": "btl",
    "backpack": "bpk",
    "headphones": "h/phones",
    "classic": "clsc",
    "with": "w/",
    "striped": "strpd",
    "vertical": "vert.",
    "pattern": "ptn",
}

EXTRAS: Words = {
    "kitchen": ("dishwasher safe", "gift idea", "for home and office", "BPA free", "for tea and coffee"),
    "home": ("living room decor", "easy assembly", "for bedroom", "housewarming gift", "Nordic look"),
    "fashion": ("for men", "for women", "unisex", "new season", "gift for her", "everyday wear"),
    "travel": ("lightweight", "for travel", "water resistant", "for school and work", "unisex"),
    "sound": ("with case", "for beginners", "gift set", "2 year warranty", "great value"),
}

OPENINGS = ("NEW!!", "*SALE*", "HOT", "[In stock]", "Brand new", "Top quality", "Original", "Last chance:")
CLOSINGS = (
    "Free Shipping",
    "- fast delivery",
    "UK stock",
    "!!!",
    "BEST PRICE",
    "(boxed)",
    "24h dispatch",
    "L@@K",
)
