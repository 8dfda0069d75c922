"""`item draw`: a drawn marketplace, as a user's feed."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option(help="Folder to make for feed.csv and images/.")],
    products: Annotated[int, typer.Option(help="How many products; each has two to four listings.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed draws another marketplace.")] = 0,
    image_size: Annotated[int, typer.Option(help="Width and height of the photos, pixels.")] = 224,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Draw a marketplace of products, photographed and described by several sellers, as a feed."""
    from dataclasses import asdict

    from item_embed.catalog.drawing.marketplace import draw_marketplace
    from item_embed.catalog.schema import printable
    from item_embed.cli.console import print_json, progress

    with progress("drawing products") as on_progress:
        counts = draw_marketplace(out, products, seed, image_size, on_progress)
    if as_json:
        print_json({"feed": printable(str(out / "feed.csv")), **asdict(counts)})
    else:
        drawn = f"{counts.products:,} products of {counts.kinds} kinds in {counts.listings:,} listings"
        print(printable(f"drew {drawn}: {out / 'feed.csv'}"))
