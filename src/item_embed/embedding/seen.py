"""What the model sees of a product."""

from typing import Literal

from item_embed.catalog.titles import clean_title

#: Photo and title, or one of them alone.
Modalities = Literal["both", "image", "title"]


def seen_title(title: str | None) -> str | None:
    """A title as the model sees it: cleaned as `item prepare` cleans a feed's, or None where nothing is left.

    Cleaning goes on until it changes nothing, so a title gets one vector whether it comes from a feed or, cleaned
    before, from a catalogue.

    Examples:
        >>> seen_title("T-shirt &amp; shorts")
        'T-shirt & shorts'
    """
    while title is not None:
        cleaned, _ = clean_title(title)
        if cleaned == title:
            break
        title = cleaned
    return title
