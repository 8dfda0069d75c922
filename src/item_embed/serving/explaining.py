"""Why two products are alike, as the service tells it: by leaving words and patches out, which any model can."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from item_embed.explain import Listing, Side, explain
from item_embed.explain.explanation import Seen
from item_embed.serving.shop import Explain

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder


def explainer(embedder: "Embedder") -> Explain:
    """Explains pairs by occlusion: queries are read by exported models, which have no gradients.

    Examples:
        >>> why = explainer(Embedder.from_pretrained("served"))      # doctest: +SKIP
        >>> why(Seen(None, "red mug"), Seen(None, "mug"))["score"]   # doctest: +SKIP
        0.71
    """

    def explained(a: Seen, b: Seen) -> Mapping[str, Any]:
        found = explain(embedder, Listing(a.title, a.photo), Listing(b.title, b.photo), "occlusion")
        return {"score": found.score, "method": found.method, "a": _told(found.a), "b": _told(found.b)}

    return explained


def _told(side: Side) -> Mapping[str, Any]:
    """What `schemas.Side` holds."""
    rows, columns = (None, None) if side.patches is None else side.patches.shape
    return {
        "words": [{"word": word.text, "weight": word.weight} for word in side.words],
        "rows": rows,
        "columns": columns,
        "patches": None if side.patches is None else side.patches.tolist(),
    }
