"""A pre-training run from its configuration to `RUN/model`.

RUN/config.yaml, run.json      what decides the run, and what it was given
RUN/tokenizer/tokenizer.json   trained on the training rows' titles
RUN/metrics.jsonl, tensorboard/, checkpoints/
RUN/model                      the model folder: weights, configuration, processor, provenance.json
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

import item_embed
from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.errors import CatalogError, ConfigError, ModelError
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import quiet_transformers
from item_embed.model.tokenizer import load_tokenizer, train_tokenizer
from item_embed.objectives.pretraining import Pretraining
from item_embed.progress import OnProgress, silent
from item_embed.training.batches import PretrainingData, batches
from item_embed.training.loop import Trainer
from item_embed.training.validation import Validate, held_out_losses

PROVENANCE_FILE = "provenance.json"


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        model: the model's folder.
        rows: rows trained on.
        excluded: rows of the training split that were left out on request.
        steps: optimiser steps.
        samples: pairs seen.
        parameters: of the encoder, without heads.
        validation: the last losses and metrics on held-out rows.
    """

    model: Path
    rows: int
    excluded: int
    steps: int
    samples: int
    parameters: int
    validation: dict[str, Any]


def pretrain(
    catalog: Catalog,
    run: Path,
    config: RunConfig,
    *,
    exclude_groups: Path | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> RunSummary:
    """Pre-train a model on the training split of a catalogue, from titles and photos alone.

    Args:
        catalog: the catalogue.
        run: the run's folder: new, or, to resume, one that was begun with the same configuration and catalogue.
        config: of the run.
        exclude_groups: a Parquet file with a column `item_id`; the groups of those rows are not trained on.
        resume: go on from the newest checkpoint, or from the start where the run died before its first.
        on_progress: told of steps.

    Raises:
        ConfigError: when the run's folder exists (without `resume`), or was begun otherwise.
        CatalogError: when no row is left to train on.
        ModelError: when there is nothing to resume from, or training diverges.
    """
    rows, excluded = training_rows(catalog, exclude_groups)
    facts = {
        "catalog": str(catalog.path),
        "catalog_fingerprint": catalog.fingerprint,
        "rows": len(rows),
        "rows_sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
        "excluded_rows": excluded,
        "exclude_groups": str(exclude_groups) if exclude_groups else None,
    }
    (_continue if resume else _begin)(run, config, facts)
    tokenizer = _tokenizer(run, catalog, rows, config)
    torch.manual_seed(config.training.seed)
    model_config = ItemConfig.from_settings(config.model, config.objectives.weights, tokenizer.get_vocab_size())
    model = ItemForPreTraining(model_config)
    processor = ItemProcessor.for_config(tokenizer, model_config)

    validate = _validation(catalog, processor, config)
    trainer = Trainer(Pretraining(model, config.objectives), config.training, run, validate)
    if resume:
        trainer.resume()
    trainer.fit(batches(PretrainingData(catalog, rows, processor, config), trainer.step), on_progress)
    samples = config.training.steps * config.training.batch_size
    provenance = {**facts, "samples": samples, "config": config.model_dump(mode="json")}
    _save_model(run / "model", model, processor, provenance)
    return RunSummary(
        model=run / "model",
        rows=len(rows),
        excluded=excluded,
        steps=config.training.steps,
        samples=samples,
        parameters=sum(p.numel() for p in model.item.parameters()),
        validation=_last_validation(run),
    )


def training_rows(catalog: Catalog, exclude_groups: Path | None) -> tuple[NDArray[np.int64], int]:
    """The rows of the training split, less the groups that are to be left out, and how many rows those were."""
    rows = catalog.rows("train")
    if exclude_groups is not None:
        kept = rows[~np.isin(catalog.groups[rows], _groups_of(catalog, exclude_groups))]
    else:
        kept = rows
    if not len(kept):
        raise CatalogError(f"{catalog.path} has no row to train on in its training split; prepare more rows.")
    return kept, len(rows) - len(kept)


def _groups_of(catalog: Catalog, file: Path) -> NDArray[np.int64]:
    try:
        wanted = set(pq.read_table(file, columns=["item_id"]).column(0).to_pylist())
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--exclude-groups {file} is not a Parquet file with a column item_id ({reason}).") from None
    places = {item: row for row, item in enumerate(catalog.ids)}
    unknown = sorted(str(item) for item in wanted if item not in places)
    if unknown:
        raise ConfigError(
            f"--exclude-groups {file} names {len(unknown)} items that {catalog.path} does not have, "
            f"for example {unknown[0]}; give the file that belongs to this catalogue."
        )
    return np.unique(catalog.groups[[places[item] for item in wanted]])


def _begin(run: Path, config: RunConfig, facts: dict[str, Any]) -> None:
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise ConfigError(f"{run} exists and is not empty: choose another --out, or go on with it by --resume.")
    run.mkdir(parents=True, exist_ok=True)
    config.save(run / "config.yaml")
    (run / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf8")


def _continue(run: Path, config: RunConfig, facts: dict[str, Any]) -> None:
    if not (run / "config.yaml").is_file() or not (run / "run.json").is_file():
        raise ModelError(f"{run} holds no run to resume; start it without --resume.")
    if RunConfig.load(run / "config.yaml") != config:
        raise ConfigError(
            f"{run} was begun with another configuration ({run / 'config.yaml'}); resume it with that one."
        )
    begun = json.loads((run / "run.json").read_text(encoding="utf8"))
    for key in ("catalog_fingerprint", "rows_sha256"):
        if begun.get(key) != facts[key]:
            raise ConfigError(
                f"{run} was begun on other rows (of {begun['catalog']}); resume it with the same catalogue "
                "and the same --exclude-groups."
            )


def _validation(catalog: Catalog, processor: ItemProcessor, config: RunConfig) -> Validate:
    rows = catalog.rows("validation")
    if not len(rows):  # a catalogue of a few dozen groups: watch the losses on rows that are trained on
        rows = catalog.rows("train")
    rows = rows[: config.training.validation_rows]
    data = PretrainingData(catalog, rows, processor, config)
    return held_out_losses(data, rows, config.training.batch_size // config.training.accumulation)


def _tokenizer(run: Path, catalog: Catalog, rows: NDArray[np.int64], config: RunConfig) -> Tokenizer:
    file = run / "tokenizer" / "tokenizer.json"
    if not file.is_file():
        titles = (title for row in rows if (title := catalog.titles[row]))
        tokenizer = train_tokenizer(titles, config.model.vocab_size)
        file.parent.mkdir(exist_ok=True)
        aside = file.with_suffix(".partial")
        tokenizer.save(str(aside))
        aside.rename(file)
    return load_tokenizer(file)


def _save_model(folder: Path, model: ItemForPreTraining, processor: ItemProcessor, provenance: dict[str, Any]) -> None:
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    with quiet_transformers():
        model.save_pretrained(aside)
    processor.save_pretrained(aside)
    versions = {"item_embed": item_embed.__version__, "torch": str(torch.__version__)}
    text = json.dumps({**provenance, "versions": versions}, indent=2) + "\n"
    (aside / PROVENANCE_FILE).write_text(text, encoding="utf8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _last_validation(run: Path) -> dict[str, Any]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf8").splitlines()]
    return next(record for record in reversed(records) if record["split"] == "validation")
