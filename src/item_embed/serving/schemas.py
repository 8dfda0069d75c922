"""What requests and responses hold. FastAPI reads the annotations when it runs, so all are imported for real."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from item_embed.embedding.seen import Modalities
from item_embed.explain.explanation import Method
from item_embed.serving.limits import MOST_FILTER_CHARACTERS, MOST_HITS, MOST_PRODUCTS, MOST_TITLE_CHARACTERS

_MUG: dict[str, JsonValue] = {"title": "Red ceramic mug, 350 ml"}


def _bytes(value: object) -> object:
    """Base64 as its bytes; what is none of a text stays for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is no base64; encode the photo's file, without a data: prefix or line breaks") from None


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("it holds a NUL character; leave it out")
    return value


#: An encoded photo: base64 in JSON, a file in a form.
Photo = Annotated[bytes, BeforeValidator(_bytes), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Title = Annotated[str, StringConstraints(max_length=MOST_TITLE_CHARACTERS)]
Id = Annotated[str, StringConstraints(min_length=1), AfterValidator(_without_nul)]
Filter = Annotated[str, StringConstraints(max_length=MOST_FILTER_CHARACTERS), AfterValidator(_without_nul)]


class Body(BaseModel):
    """What a request sends: nothing that it does not know of."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Sides(Body):
    """A photo, a title, or both."""

    title: Title | None = Field(None, description="As a shop would write it; cleaned as the catalogue's are.")
    image: Photo | None = Field(None, description="A JPEG, PNG, WebP, GIF, BMP or TIFF file.")

    @property
    def described(self) -> bool:
        """Whether there is a photo or a title: an empty one is none."""
        return bool(self.title or self.image)


class SearchRequest(Sides):
    """What is looked for: a photo, a title, or both; or what is like a product of the index."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_MUG, "k": 5, "where": "price < 20"}, {"id": "a1"}]})

    id: Id | None = Field(
        None,
        description="Of a product of the index, which is none of its own hits; then neither a title nor an image nor a "
        "photo_weight.",
    )
    photo_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="1: the photo alone; 0: the title alone; between: their unit vectors added so. Without it, photo "
        "and title as the model joins them. Of no meaning where only one of them is given.",
    )
    k: int = Field(10, ge=1, le=MOST_HITS, description="How many products to find.")
    where: Filter | None = Field(
        None, description='Only products for which this holds: `category = "Shoes" and price < 50`.'
    )
    threshold: float | None = Field(None, ge=-1, le=1, description="The lowest score of a hit.")

    @model_validator(mode="after")
    def _one_way(self) -> "SearchRequest":
        if self.id is not None and (self.described or self.photo_weight is not None):
            raise ValueError("give either an id, or a title and an image")
        return self


class Product(Sides):
    """A product of the index by its id, or any by photo and title."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MUG, {"id": "a1"}]})

    id: Id | None = Field(None, description="Of a product of the index; then neither a title nor an image.")

    @model_validator(mode="after")
    def _one_way(self) -> "Product":
        if self.id is not None and self.described:
            raise ValueError("give either an id, or a title and an image")
        return self


class EmbedRequest(Body):
    """Products to embed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"products": [_MUG]}]})

    products: list[Product] = Field(min_length=1, max_length=MOST_PRODUCTS)


class PairRequest(Body):
    """Two products."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"a": _MUG, "b": {"title": "Mug, red, ceramic"}}]})

    a: Product
    b: Product


class AnswerRequest(Body):
    """What somebody says of a pair: the same product, another one, not sure, or nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer": "yes"}]})

    answer: Literal["yes", "no", "unsure"] | None


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(description="One sentence: what is wrong, and the mend.")


class Fact(BaseModel):
    """A product of the index."""

    id: str
    title: str | None
    category: str | None
    metadata: dict[str, Any]
    photo: str | None = Field(description="Where its photo is.")


class Hit(Fact):
    """A product that was found."""

    score: float = Field(description="The cosine to what was looked for.")
    probability: float | None = Field(
        description="Of being the same product: as a query's hit, learned of queries, where it has all sides; as "
        "another listing's, of listings. null: not known, as for a photo or a title alone, for a weighted query, "
        "without what tells it, or below the lowest cosine that it was learned of."
    )


class Found(BaseModel):
    """Hits, best first."""

    hits: list[Hit]
    milliseconds: float


class Vectors(BaseModel):
    """Unit vectors: the product of two is their cosine."""

    vectors: list[list[float]]
    dimension: int
    fingerprint: str = Field(description="Of the model: vectors of another one do not compare.")


class Decided(BaseModel):
    """Whether two products are the same."""

    score: float = Field(description="Their cosine.")
    probability: float | None = Field(
        description="Null without `item duplicates`, where a product is not given by the id of a listing, and where "
        "the two are variants that are different products."
    )
    same: bool | None = Field(
        description="Whether the score reaches the threshold; false whatever the score where variants are different "
        "products and the two are some; null where a product is not given by the id of a listing."
    )
    threshold: float | None
    variants: bool | None = Field(
        description="Whether they differ in the column of `item duplicates --variants`; null without it, or where one "
        "is not given by id."
    )


class Candidate(BaseModel):
    """A leaf category and its probability."""

    category: str
    probability: float


class Categorised(BaseModel):
    """The category that is sure enough, and the likeliest ones, sure or not."""

    category: str | None = Field(description="A leaf or a shorter path; null where nothing is sure enough.")
    answered: Literal["leaf", "shorter", "none"]
    probability: float | None
    reason: str | None = Field(
        description="Why nothing is answered, whatever is asked, as too few labelled rows to promise the precision; "
        "null where some products have an answer."
    )
    candidates: list[Candidate]


class Word(BaseModel):
    """A word of a title, and its weight by the explanation's method."""

    word: str
    weight: float


class Side(BaseModel):
    """What of one product makes the score: its words, and the patches of its photo, row by row."""

    words: list[Word]
    rows: int | None
    columns: int | None
    patches: list[list[float]] | None


class Explained(BaseModel):
    """Why two products are alike."""

    score: float
    method: Method = Field(
        description="How weights were found. occlusion: what the score loses when the word or the patch is left out; "
        "these do not add up to the score. gradients: integrated gradients, as `item explain` gives by default; these "
        "add up to it."
    )
    a: Side
    b: Side


class Pair(BaseModel):
    """Two listings to be judged."""

    key: str
    a: Hit
    b: Hit
    probability: float | None
    variants: bool = Field(description="Whether they differ in the column of the pairs' `variants`.")
    answer: Literal["yes", "no", "unsure"] | None


class VariantsTold(BaseModel):
    """What `item duplicates --variants` was told: listings that differ in a column are the same product, or are not."""

    column: str
    are: Literal["same", "different"] = Field(description="Pairs of different ones are not asked.")


class Pairs(BaseModel):
    """Some of the pairs to be judged, in their order."""

    total: int
    answered: int
    variants: VariantsTold | None
    pairs: list[Pair]


class Filterable(BaseModel):
    """A column that `where` can name, with its most frequent values."""

    type: Literal["text", "number", "truth"]
    values: list[str | float | bool]


class LimitsTold(BaseModel):
    """What a request may cost."""

    body_bytes: int
    pixels: int
    title_chars: int
    k: int


class QueryProbabilitiesTold(BaseModel):
    """What the probabilities of a query's hits were learned of: queries whose product the index has."""

    simulated: bool = Field(description="Whether the queries were made of listings by program, which flatters.")
    queries: int
    source: str
    calibration_error: float | None = Field(description="On products not learned from; null where they were too few.")
    first_hit_error: float | None = Field(description="The same of first hits alone.")


class About(BaseModel):
    """What this service serves."""

    name: str
    version: str
    products: int
    dimension: int
    modalities: Modalities = Field(description="What can be looked for.")
    made_of: Modalities = Field(
        description="What the listings' vectors are of: a query that lacks a side of it has no probability."
    )
    fingerprint: str
    category: bool
    same_product: bool
    query_probabilities: QueryProbabilitiesTold | None
    explain: bool
    duplicates: bool
    filters: dict[str, Filterable]
    limits: LimitsTold


class State(BaseModel):
    """Whether the service lives, or is ready."""

    status: Literal["live", "ready"]
