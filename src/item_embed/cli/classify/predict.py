"""`item classify predict`: the categories of a catalogue."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.categories.classifier import Encoder
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.vectors import Vectors


def command(
    classifier: Annotated[Path, typer.Argument(help="Folder made by `item classify fit`.")],
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`; no label of it is read.")],
    *,
    out: Annotated[Path, typer.Option(help="Parquet file to write; it must not exist.")],
    precision: Annotated[
        float | None, typer.Option(help="Share of answers that must be right.", show_default="that of the fit")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Vectors of this catalogue by `item embed`, by the classifier's model.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The classifier's model, if its folder was moved.", show_default="where it was")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give every row its category, as far as it is sure enough.

    That is the leaf, or the part of the path that is sure; and the five likeliest leaves, sure or not.
    """
    from item_embed.catalog.store import Catalog
    from item_embed.categories.classifier import CategoryClassifier
    from item_embed.categories.predicting import sliced, write_predictions
    from item_embed.files import check_output

    check_output(out)
    learnt = CategoryClassifier.load(classifier)
    wanted = learnt.precision if precision is None else precision
    reason = learnt.why_silent(wanted)
    if reason:  # before hours of embedding
        say(f"{reason} Only the likeliest leaves are given.")
    opened = Catalog(catalog)
    with progress("classifying") as on_progress:
        if vectors is not None:
            parts: Iterable[Vectors] = sliced(_read(vectors, opened, learnt.encoder, model))
        else:
            from item_embed.embedding.bulk import embed_parts

            embedder = _embedder(learnt.encoder, model, device)
            learnt.check_model(embedder.fingerprint)  # before hours of embedding
            parts = embed_parts(
                embedder, opened, learnt.encoder.modalities, batch_size=batch_size, on_progress=on_progress
            )
        counts = write_predictions(out, learnt, parts, wanted)
    if as_json:
        told = {"rows": counts.rows, "leaves": counts.leaves, "prefixes": counts.prefixes, "unseen": counts.unseen}
        print_json({"out": str(out), "precision": wanted, **told, "unanswered": counts.unanswered, "reason": reason})
    else:
        promised = ", since no threshold could be promised" if reason else ""
        print(
            f"{number_of(counts.rows, 'row')} at a precision of {wanted:g}: {counts.leaves:,} leaves, "
            f"{counts.prefixes:,} shorter paths, {counts.unanswered:,} without an answer{promised}; in {out}."
        )


def _read(path: str, catalog: "Catalog", encoder: "Encoder", model: Path | None) -> "Vectors":
    """Vectors of a file, after checking that they are this catalogue's, by the classifier's model."""
    from item_embed.embedding.vectors import Vectors
    from item_embed.errors import ConfigError
    from item_embed.evaluation.embedded import read_catalog_vectors

    if model is not None:
        raise ConfigError("--vectors are made already, and --model would make them; leave one of them out.")
    found = read_catalog_vectors(path, catalog, encoder, encoder.modalities)
    return Vectors(catalog.ids, found, encoder.fingerprint, str(encoder.path), encoder.modalities)


def _embedder(encoder: "Encoder", model: Path | None, device: str | None) -> "Embedder":
    from item_embed.embedding.embedder import Embedder
    from item_embed.model.folder import find_model

    folder = find_model(model, encoder.path, "the model that the classifier learnt from")
    return Embedder.from_pretrained(folder, device)
