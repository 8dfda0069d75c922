"""Why two listings are alike: which words and which patches make their score what it is."""

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.exported import is_exported
from item_embed.errors import ModelError
from item_embed.explain.explanation import Explanation, Listing, Method, Seen, Side
from item_embed.explain.occlusion import by_occlusion

__all__ = ["STEPS", "Explanation", "Listing", "Method", "Side", "explain"]

STEPS = 16  # of the path that gradients are summed along: weights then add up to four digits


def explain(
    embedder: Embedder, a: Listing, b: Listing, method: Method | None = None, steps: int = STEPS
) -> Explanation:
    """Explain the score of two listings, the cosine of the vectors that `embedder.embed` gives of them.

    Each listing is explained while the other stays as it is. With `gradients` a weight is what a word or a patch adds
    to the score on the way from a blank listing, of masked words and a white photo, to this one: integrated gradients
    (arXiv 1703.01365), by captum, through the encoder, whitening, late fusion and the words. With `occlusion` it is
    what the score loses when the word is left out of the title or the patch painted white; weights then do not add up.

    Args:
        embedder: the model.
        a: a listing, with a photo, a title or both.
        b: the other.
        method: by default `gradients`, and `occlusion` of an exported model, which has no gradients.
        steps: of the path from the blank listing; gradients alone ask for it.

    Raises:
        ModelError: when a photo cannot be read, a listing has nothing that the model reads, gradients are asked of an
            exported model, or captum is not installed.

    Examples:
        >>> found = explain(embedder, Listing("Red mug", "mug.jpg"), Listing("Mug, red"))  # doctest: +SKIP
        >>> [(word.text, round(word.weight, 2)) for word in found.a.words]                 # doctest: +SKIP
        [('Red', 0.31), ('mug', 0.38)]
    """
    seen = [Seen(*embedder.read(listing.photo, listing.title, side)) for side, listing in enumerate((a, b))]
    exported = is_exported(embedder.path)
    if (method or ("occlusion" if exported else "gradients")) == "occlusion":
        return by_occlusion(embedder.backend, seen[0], seen[1])
    if exported:
        raise ModelError(
            f"the exported model {embedder.path} has no gradients; explain by occlusion, or by the model folder that "
            "it was made from."
        )
    from item_embed.embedding.torch_backend import TorchBackend  # brings torch
    from item_embed.explain.gradients import by_gradients

    assert isinstance(embedder.backend, TorchBackend)
    return by_gradients(embedder.backend, seen[0], seen[1], steps)
