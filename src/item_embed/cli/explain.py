"""`item explain`: which words and which patches make two listings alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from item_embed.cli.console import check_page, print_json, table

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder
    from item_embed.explain import Explanation, Listing
    from item_embed.explain.explanation import Side
    from item_embed.search.index import ProductIndex

_PATCHES = 3  # of each photo that are listed
_METHODS = {
    "gradients": "integrated gradients, which add up to it",
    "occlusion": "occlusion, whose weights do not add up to it",
}


def command(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A] [B]",
            help="Ids of the listings; one that is given by photo or title has none.",
            show_default=False,
        ),
    ] = None,
    *,
    index: Annotated[
        str | None, typer.Option(help="Index that the ids are in: a folder, or a postgresql:// URL.")
    ] = None,
    catalog: Annotated[str | None, typer.Option(help="Catalogue that the ids are in, a path or a URL.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="The model's folder.", show_default="the one that made the index")
    ] = None,
    image_a: Annotated[Path | None, typer.Option(help="Photo of listing A.")] = None,
    title_a: Annotated[str | None, typer.Option(help="Title of listing A.")] = None,
    image_b: Annotated[Path | None, typer.Option(help="Photo of listing B.")] = None,
    title_b: Annotated[str | None, typer.Option(help="Title of listing B.")] = None,
    method: Annotated[
        Literal["gradients", "occlusion"] | None,
        typer.Option(
            help="Integrated gradients, or leaving out one word or patch after the other.",
            show_default="gradients; occlusion of an exported model",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with heat maps here as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell which words and which patches make two listings alike."""
    from item_embed.explain import explain

    given = _Given(image_a, title_a), _Given(image_b, title_b)
    keys = _keys(ids or [], given)
    _check_sources(keys, index, catalog, model)
    check_page(html)
    products = _index(index)
    a, b = _listings(keys, given, products, catalog)
    found = explain(_embedder(products, model), a, b, method)
    if as_json:
        told = found.as_json()
        print_json(told | {side: {"id": key, **told[side]} for side, key in zip("ab", keys, strict=True)})
    else:
        table("Weights", ["listing", "what", "weight"], [*_rows("A", found.a), *_rows("B", found.b)])
        print(_summary(found) + (f" Page in {html}." if html else ""), flush=True)
    if html:
        from item_embed.evaluation.explaining.page import write_page

        write_page(html, found, (keys[0] or "", keys[1] or ""))


class _Given(NamedTuple):
    """What the options say of a side."""

    image: Path | None
    title: str | None

    @property
    def there(self) -> bool:
        return self != (None, None)


def _keys(ids: list[str], given: tuple[_Given, _Given]) -> list[str | None]:
    """The id of each side; None of one that is given by photo or title."""
    from item_embed.errors import ConfigError

    asked = sum(not side.there for side in given)
    if len(ids) != asked:
        raise ConfigError(
            f"two listings are compared, {2 - asked} of them given by photo or title, and {len(ids)} by id; give two: "
            "ids, or --image-a, --title-a, --image-b, --title-b."
        )
    left = iter(ids)
    return [None if side.there else next(left) for side in given]


def _check_sources(keys: list[str | None], index: str | None, catalog: str | None, model: Path | None) -> None:
    from item_embed.errors import ConfigError

    if index is not None and catalog is not None:
        raise ConfigError("the ids are looked up in one place; give --index or --catalog, not both.")
    if any(keys) and index is None and catalog is None:
        raise ConfigError("ids are looked up; name where: --index INDEX, or --catalog CATALOG with --model MODEL.")
    if index is None and model is None:
        raise ConfigError("no model is named; give --model MODEL, or the --index that it made.")


def _index(index: str | None) -> "ProductIndex | None":
    if index is None:
        return None
    from item_embed.search.index import ProductIndex

    return ProductIndex.open(index)


def _embedder(products: "ProductIndex | None", model: Path | None) -> "Embedder":
    """The model: that of the index, if there is one."""
    from item_embed.embedding.embedder import Embedder
    from item_embed.errors import VectorError

    if products is None:
        assert model is not None  # `_check_sources` saw to it
        return Embedder.from_pretrained(model)
    folder = products.manifest.model_folder(model, products.path)
    embedder = Embedder.from_pretrained(folder)
    if embedder.fingerprint != products.fingerprint:
        raise VectorError(
            f"{folder} ({embedder.fingerprint[:12]}) is another model than that of {products.path} "
            f"({products.fingerprint[:12]}, {products.model}), whose scores it cannot explain; give that one."
        )
    return embedder


def _listings(
    keys: list[str | None], given: tuple[_Given, _Given], products: "ProductIndex | None", catalog: str | None
) -> "list[Listing]":
    from item_embed.explain import Listing

    found = []
    for key, side in zip(keys, given, strict=True):
        if key is None:
            if products:
                products.check_query(image=side.image is not None, title=side.title is not None)
            found.append(Listing(side.title, side.image))
        elif products:
            found.append(_indexed(products, key))
        else:
            assert catalog is not None
            found.append(_listed(catalog, key))
    return found


def _indexed(products: "ProductIndex", key: str) -> "Listing":
    """A listing of an index, as far as its vectors were made of it."""
    from item_embed.errors import ConfigError
    from item_embed.explain import Listing

    item = products.item(key)
    if item is None:
        raise ConfigError(f"{products.path} has no listing {key!r}; check its id.")
    seen = products.modalities
    return Listing(None if seen == "image" else item.title, None if seen == "title" else item.photo)


def _listed(path: str, key: str) -> "Listing":
    from item_embed.catalog.store import Catalog
    from item_embed.errors import ConfigError
    from item_embed.explain import Listing

    catalog = Catalog(path)
    if key not in catalog.ids:
        raise ConfigError(f"{path} has no listing {key!r}; check its id.")
    row = catalog.ids.index(key)
    return Listing(catalog.titles[row], catalog.photo(row))


def _rows(name: str, side: "Side") -> list[list[str]]:
    """All words, the strongest first, then the strongest patches."""
    words = sorted(side.words, key=lambda word: -abs(word.weight))
    rows = [[name, word.text, f"{word.weight:+.3f}"] for word in words]
    if side.patches is not None:
        columns = side.patches.shape[1]
        weights = side.patches.ravel()
        for patch in abs(weights).argsort()[::-1][:_PATCHES]:
            place = f"patch in row {patch // columns + 1}, column {patch % columns + 1}"
            rows.append([name, place, f"{weights[patch]:+.3f}"])
    return rows


def _summary(found: "Explanation") -> str:
    sides = [f"{name} words {side.by_words:+.3f}, patches {side.by_patches:+.3f}" for name, side in _sides(found)]
    if found.method == "gradients":
        sides = [f"{text}, blank {side.baseline:.3f}" for text, (_, side) in zip(sides, _sides(found), strict=True)]
    return f"Score {found.score:.3f}, by {_METHODS[found.method]}: {'; '.join(sides)}."


def _sides(found: "Explanation") -> "list[tuple[str, Side]]":
    return [("A", found.a), ("B", found.b)]
