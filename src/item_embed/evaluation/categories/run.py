"""From a model and a labelled catalogue to the folder of a classifier.

OUT/classifier.*       the classifier (`categories.classifier`)
OUT/model/             the fine-tuned encoder, where one was asked for
OUT/labels.parquet     every labelled row, with what was said of it (fine-tuned: less those of the train split)
OUT/suspects.csv       labels that are probably wrong
OUT/report.html        how good it is, and the suspects with their photos
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.abstaining import check_precision
from item_embed.categories.calibration import PRECISION
from item_embed.categories.classifier import Encoder
from item_embed.categories.fitting import Fitted, check_labels, fit_classifier
from item_embed.categories.leaves import leaf_task
from item_embed.categories.suspects import Labels, find_suspects
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.categories.page import write_page
from item_embed.evaluation.categories.quality import Quality, measure
from item_embed.evaluation.embedded import read_catalog_vectors
from item_embed.files import whole_folder
from item_embed.progress import Stages, silent_stages

if TYPE_CHECKING:  # which brings torch
    from item_embed.categories.fine_tuning import FineTuning


@dataclass(frozen=True)
class FitSettings:
    """How a classifier is made.

    Attributes:
        vectors: those of the catalogue; None: they are made.
        modalities: what the model sees.
        fine_tuning: how to train the encoder on the labels too; None: it stays as it is.
        precision: the share of answers that must be right.
        seed: of intervals.
        batch_size: products embedded at once.
        device: a torch device; None: the best there is.

    Raises:
        ConfigError: when they contradict each other, or a number is out of its range.
    """

    vectors: str | Path | None = None
    modalities: Modalities = "both"
    fine_tuning: "FineTuning | None" = None
    precision: float = PRECISION
    seed: int = 0
    batch_size: int = 256
    device: str | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.fine_tuning is not None and self.vectors is not None:
            raise ConfigError(
                "--vectors are of the model as it is, and --fine-tune makes another; leave one of them out."
            )


@dataclass(frozen=True)
class Made:
    """A classifier that was written, its figures, and the labels that were looked at."""

    fitted: Fitted
    quality: Quality
    labels: Labels


def make_classifier(
    model: Path, catalog: Catalog, out: Path, settings: FitSettings, stages: Stages = silent_stages
) -> Made:
    """Fit a classifier, measure it, look for wrong labels, and write all of it into a folder.

    Args:
        model: the model's folder, which stays as it is.
        catalog: labelled, all or some of its rows.
        out: the folder to write; it must not exist.
        settings: how.
        stages: told of the work.

    Raises:
        CatalogError: when there are too few labelled rows.
        VectorError: when given vectors are those of another model or catalogue.
        OutputError: when the folder cannot be written.

    Examples:
        >>> model, catalog = Path("run/model"), Catalog("catalog")                     # doctest: +SKIP
        >>> made = make_classifier(model, catalog, Path("categories"), FitSettings())  # doctest: +SKIP
        >>> made.quality.wanted.leaves.text()                                          # doctest: +SKIP
        '1.000 [1.000, 1.000]'
    """
    task = leaf_task(catalog)
    check_labels(catalog, task, settings.modalities, tuned=settings.fine_tuning is not None)
    with whole_folder(out) as aside:
        if settings.fine_tuning is not None:
            from item_embed.categories.fine_tuning import fine_tuned_model

            with stages("fine-tuning") as on_progress:
                fine_tuned_model(
                    model,
                    catalog,
                    task,
                    aside / "model",
                    modalities=settings.modalities,
                    settings=settings.fine_tuning,
                    device=settings.device,
                    on_progress=on_progress,
                )
            model = aside / "model"
        embedder = Embedder.from_pretrained(model, settings.device)
        vectors = _vectors(embedder, catalog, settings, stages)
        encoder = Encoder(embedder.path, embedder.fingerprint, settings.modalities)
        with stages("classifying") as on_progress:
            fitted = fit_classifier(
                catalog,
                task,
                vectors,
                encoder,
                settings.precision,
                tuned=settings.fine_tuning is not None,
                on_progress=on_progress,
            )
        quality, labels = measure(fitted, settings.seed), find_suspects(fitted)
        told = {**fitted.classifier.told, "suspects": len(labels.suspects), "test": quality.as_json()}
        classifier = replace(fitted.classifier, told=told)
        classifier.save(aside)
        labels.write(aside, catalog)
        with stages("writing the page"):
            write_page(aside / "report.html", catalog, fitted, quality, labels)
    if settings.fine_tuning is not None:  # no longer where it was made
        encoder = replace(encoder, path=out / "model")
    return Made(replace(fitted, classifier=replace(classifier, encoder=encoder)), quality, labels)


def _vectors(embedder: Embedder, catalog: Catalog, settings: FitSettings, stages: Stages) -> NDArray[np.float32]:
    if settings.vectors is not None:
        return read_catalog_vectors(settings.vectors, catalog, embedder, settings.modalities)
    with stages("embedding the catalogue") as on_progress:
        return embed_catalog(
            embedder, catalog, settings.modalities, batch_size=settings.batch_size, on_progress=on_progress
        ).vectors
