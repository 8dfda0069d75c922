"""`item search`: the products nearest to a photo, a title, or both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import check_page, print_json, table
from item_embed.embedding.seen import seen_title
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder
    from item_embed.search.index import ProductIndex
    from item_embed.search.items import Hit


def command(
    index: Annotated[str, typer.Argument(help="Index made by `item index`: a folder, or a postgresql:// URL.")],
    *,
    image: Annotated[Path | None, typer.Option(help="Photo to look for.")] = None,
    title: Annotated[str | None, typer.Option(help="Title to look for.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many products to show.")] = 10,
    where: Annotated[
        str | None, typer.Option(help="Only products for which this holds: 'category = \"Shoes\" and price < 50'.")
    ] = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Join the ranking by vector with one by words.")] = False,
    model: Annotated[
        Path | None,
        typer.Option(help="The model's folder, if it is no longer where it was when the vectors were made."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with photos here as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the products nearest to a photo, a title, or both."""
    from item_embed.errors import ConfigError
    from item_embed.search.index import ProductIndex

    title = seen_title(title)
    if image is None and title is None:
        raise ConfigError("there is nothing to look for; give --image FILE, --title TEXT, or both.")
    if hybrid and title is None:
        raise ConfigError("--hybrid compares words and there are none; give --title TEXT.")
    check_page(html)
    products = ProductIndex.open(index)
    products.check_query(image=image is not None, title=title is not None)
    if where is not None:
        products.check_filter(where)
    photo = _read_photo(image) if image else None
    embedder = _embedder(products, model)
    vectors = embedder.embed(images=[photo], titles=[title])
    if hybrid:
        hits = products.search_hybrid(vectors, [title or ""], k, embedder.fingerprint, where)[0]
    else:
        hits = products.search(vectors, k, embedder.fingerprint, where)[0]
    if as_json:
        shown = ("id", "score", "title", "category", "metadata")
        query = {"image": str(image) if image else None, "title": title}
        print_json({"query": query, "hits": [{name: getattr(hit, name) for name in shown} for hit in hits]})
    else:
        rows = [
            [
                str(rank),
                f"{hit.score:.4f}" if hybrid else f"{hit.score:.3f}",
                hit.id,
                hit.title or "",
                hit.category or "",
            ]
            for rank, hit in enumerate(hits, 1)
        ]
        table("Nearest products", ["rank", "score", "id", "title", "category"], rows)
        page = f"; page in {html}" if html else ""
        print(f"{len(hits)} of {number_of(len(products), 'product')} shown{page}.", flush=True)
    if html:
        note = f"The nearest {len(hits)} of {number_of(len(products), 'product')}{f' where {where}' if where else ''}"
        asked = title or (image.name if image else ""), photo, note
        _write_page(html, asked, [(hit, products.photo(hit.id)) for hit in hits])


def _read_photo(path: Path) -> bytes:
    """The photo in the form in which a catalogue would keep it."""
    from item_embed.catalog.photos.images import PhotoError, prepare_photo

    try:
        return prepare_photo(path.read_bytes()).data
    except OSError as error:
        raise PhotoError(f"the photo {path} cannot be read ({error.strerror}); check --image.") from None
    except PhotoError as reason:
        raise PhotoError(f"the photo {path} cannot be used ({reason}); give another --image.") from None


def _embedder(products: "ProductIndex", model: Path | None) -> "Embedder":
    from item_embed.embedding.embedder import Embedder

    return Embedder.from_pretrained(products.manifest.model_folder(model, products.path))


def _facts(hit: "Hit") -> list[tuple[str, str]]:
    """What the index keeps beside a product's title and category."""
    from item_embed.search.facts import facts

    known = {"product_id": hit.product_id, **{key: text for key, text, _ in facts(hit.metadata)}}
    return [(key, text) for key, text in known.items() if text]


def _write_page(path: Path, query: tuple[str, bytes | None, str], hits: "list[tuple[Hit, bytes | None]]") -> None:
    """A page of a query (heading, photo, note) and its hits with their photos."""
    from item_embed.files import whole_file
    from item_embed.search.page import PageHit, PageQuery, page, render_queries

    heading, photo, note = query
    found = [
        PageHit(hit.title or "", pictured, hit.score, hit.category or "", id=hit.id, facts=_facts(hit))
        for hit, pictured in hits
    ]
    with whole_file(path) as aside:
        asked = render_queries([PageQuery(heading, photo, found, note)])
        aside.write_text(page("Nearest products", asked), encoding="utf8")
