"""A trained model made into one whose vectors are whitened by the listings of a catalogue."""

import json
import shutil
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.config import WhiteningSettings
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import CatalogError, ModelError
from item_embed.files import whole_folder
from item_embed.model.card import CARD_FILE, model_card
from item_embed.model.folder import MODEL_FILES, PROVENANCE_FILE, provenance
from item_embed.progress import OnProgress, silent
from item_embed.training.run import training_rows
from item_embed.training.whitening import FEWEST, whitening_facts, whitening_of, whitening_rows


def settings_of(model: Path, **given: Any) -> WhiteningSettings:
    """The whitening of a model, but for what is given: so that another shop's is like it.

    Args:
        model: its folder; of one that is not whitened, power 0.75 and one pass.
        given: fields of `WhiteningSettings`; None is not given.

    Examples:
        >>> settings_of(Path("run/model"), power=0.5)  # doctest: +SKIP
        WhiteningSettings(power=0.5, late_fusion=True, dimensions=None, rows=4096)
    """
    known = {"power": 0.75, **provenance(model).get("whitened", {})}
    own = {name: known[name] for name in ("power", "late_fusion", "dimensions") if name in known}
    stated = {name: value for name, value in given.items() if value is not None}
    if stated.get("late_fusion", own.get("late_fusion", False)) != own.get("late_fusion", False):
        own.pop("dimensions", None)  # numbers of one kind of vector, not of the other
    return WhiteningSettings(**own | stated)


def whiten_model(
    trained: TorchBackend,
    catalog: Catalog,
    out: Path,
    settings: WhiteningSettings,
    *,
    exclude_groups: Path | None = None,
    on_progress: OnProgress = silent,
) -> tuple[int, int]:
    """Write a model that differs from another in the whitening of its vectors alone.

    Any whitening that the model has is replaced, not added to.

    Args:
        trained: the model; its folder is left as it is.
        catalog: the catalogue whose training split is looked at; no label is read.
        out: the new model's folder; it must not exist.
        settings: power, dimensions, and how many rows.
        exclude_groups: a Parquet file with a column `item_id`; the groups of those rows are not looked at.
        on_progress: told of rows.

    Returns:
        How many rows it was fitted to, and the numbers of a vector.

    Raises:
        CatalogError: when too few rows have a photo and a title.
        ModelError: when the model is a baseline of `item compare`, these rows all have one vector, or a vector has
            fewer numbers than are to be kept.

    Examples:
        >>> trained = TorchBackend.from_pretrained("run/model")                                      # doctest: +SKIP
        >>> whiten_model(trained, Catalog("catalog"), Path("whitened"), WhiteningSettings(power=0.75))  # doctest: +SKIP
        (4096, 192)
    """
    known = provenance(trained.path)
    if learner := known.get("learner"):
        raise ModelError(
            f"{trained.path} holds {learner}, a baseline of `item compare`; give a model of `item pretrain`."
        )
    train, excluded = training_rows(catalog, exclude_groups)
    rows = whitening_rows(catalog, train, settings.rows)
    if len(rows) < FEWEST:
        raise CatalogError(
            f"{len(rows)} rows of the training split of {catalog.path} have a photo and a title, and whitening takes "
            f"{FEWEST}; prepare more rows."
        )
    whitening = whitening_of(
        trained.model,
        trained.processor,
        catalog,
        rows,
        settings,
        on_progress=on_progress,
    )
    with whole_folder(out) as aside:
        for name in MODEL_FILES:
            shutil.copyfile(trained.path / name, aside / name)
        whitening.save(aside)
        told = {**known, **whitening_facts(catalog, rows, settings, excluded)}
        if "config" in known:  # a run that goes on from this model whitens alike
            told["config"] = {**known["config"], "whitening": settings.model_dump(mode="json")}
        text = json.dumps(told, indent=2) + "\n"
        (aside / PROVENANCE_FILE).write_text(text, encoding="utf8")
        (aside / CARD_FILE).write_text(model_card(aside), encoding="utf8")
    return len(rows), whitening.dimension
