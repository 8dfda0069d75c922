"""`item draw`: a drawn marketplace, as a user's feed, with its truth beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.catalog.drawing.marketplace import DrawnMarketplace
    from item_embed.catalog.drawing.showing import Showing

_ON_SHEET = 18  # products: one of each kind
_READABLE = 80  # pixels of a photo whose tag can be read


def command(
    *,
    out: Annotated[Path, typer.Option(help="Folder to make for feed.csv, images/ and the labels.")],
    products: Annotated[int, typer.Option(help="How many products; each has two to four listings.")] = 400,
    dominance: Annotated[
        str, typer.Option(help="What tells products apart: mixed (as in a usual shop), image, title or balanced.")
    ] = "mixed",
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ATTRIBUTE=CHANNEL",
            help="Where an attribute shows: photo, title, both or neither, as colour=photo; may be given repeatedly. "
            "Attributes: brand, line, model, colour, pattern, material, size, style, shape.",
        ),
    ] = None,
    mention: Annotated[
        float | None, typer.Option(help="Share of titles that tell what they could; by default each seller's habit.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws another marketplace.")] = 0,
    image_size: Annotated[int, typer.Option(help="Longer side of the photos, pixels.")] = 224,
    workers: Annotated[int | None, typer.Option(help="Processes that draw; by default one for each core.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="JPEG file to write: listings of some products to look at.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and ceilings as one JSON object.")] = False,
) -> None:
    """Draw a marketplace of products, as a feed.

    They are photographed and described by several sellers. Prints the most that comparing listing with listing can find
    in it: by photos alone, by titles alone and by both.
    """
    from dataclasses import asdict

    from item_embed.catalog.drawing.marketplace import draw_marketplace
    from item_embed.catalog.drawing.showing import choose
    from item_embed.catalog.schema import printable
    from item_embed.cli.console import print_json, progress, say, table
    from item_embed.parallel import cores

    if sheet is not None:
        _check_sheet(sheet)
    showing = choose(dominance, show or (), mention)
    workers = cores() if workers is None else workers
    with progress("drawing products") as on_progress:
        drawn = draw_marketplace(out, products, seed, image_size, on_progress, showing=showing, workers=workers)
    if sheet is not None:
        _write_sheet(sheet, min(products, _ON_SHEET), seed, showing)
    if image_size < _READABLE and showing.photo & {"size", "model"}:
        say(f"a tag cannot be read in photos below {_READABLE} pixels, but the ceilings count it as read.")
    if as_json:
        print_json({"feed": printable(str(out / "feed.csv")), **asdict(drawn)})
        return
    columns = ["from", "recall@10 at most", "hit@1 at most", "recall@10 by chance", "hit@1 by chance"]
    table("the most that comparing listings can find, and a reader who picks by chance", columns, _ceiling_rows(drawn))
    counted = f"{number_of(drawn.products, 'product')} of {number_of(drawn.kinds, 'kind')}"
    print(printable(f"drew {counted} in {number_of(drawn.listings, 'listing')}: {out / 'feed.csv'}"))


def _check_sheet(path: Path) -> None:
    """Refuse before the drawing what could not be written after it."""
    from item_embed.errors import ConfigError
    from item_embed.files import locked

    if path.suffix.lower() not in {".jpg", ".jpeg"} or path.is_dir():
        raise ConfigError(f"--sheet {path} names no JPEG file; give a name that ends in .jpg.")
    with locked(path):  # its folder can be made and written to
        pass


def _ceiling_rows(drawn: "DrawnMarketplace") -> list[list[str]]:
    from dataclasses import astuple

    names = {"photo": "photo alone", "title": "title alone", "both": "photo and title"}
    return [[shown, *(f"{figure:.3f}" for figure in astuple(drawn.ceilings[name]))] for name, shown in names.items()]


def _write_sheet(path: Path, products: int, seed: int, showing: "Showing") -> None:
    """Some products, a row each, with their listings."""
    from item_embed.catalog.drawing.listings import make_listings
    from item_embed.catalog.drawing.products import make_product
    from item_embed.catalog.drawing.sheet import contact_sheet
    from item_embed.files import whole_file

    rows = []
    for number in range(products):
        product = make_product(seed, number, showing)
        listings = make_listings(product, seed, image_size=224, showing=showing)
        rows.append((product.kind.name, [(listing.photo, listing.row["title"]) for listing in listings]))
    with whole_file(path) as aside:
        contact_sheet(rows).save(aside, "JPEG", quality=88)
