"""A pre-training run from its configuration to `RUN/model`.

RUN/config.yaml, run.json      what decides the run, and what it was given
RUN/from/                      what it needs of the model that it goes on from, where it does
RUN/tokenizer/tokenizer.json   trained on titles of the training rows, or that model's with new words, or that of the
                               text embeddings of a warm start
RUN/metrics.jsonl, tensorboard/, checkpoints/
RUN/model                      the model folder: weights, configuration, processor, provenance.json, its whitening
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

import item_embed
from item_embed.catalog.references import rows_of_items
from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.errors import CatalogError, ConfigError, ModelError
from item_embed.files import whole_file, whole_folder
from item_embed.hashing import hash64
from item_embed.model.card import CARD_FILE, model_card
from item_embed.model.configuration import ItemConfig
from item_embed.model.folder import PROVENANCE_FILE, TOKENIZER_FILE, is_model_folder
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.precision import choose_precision
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import quiet_transformers
from item_embed.model.tokenizer import extend_tokenizer, load_tokenizer, train_tokenizer
from item_embed.model.warm_start.start import load_warm_start, text_vocabulary
from item_embed.model.whitening import Whitening
from item_embed.objectives.masking import Stream
from item_embed.objectives.pretraining import Pretraining
from item_embed.progress import OnProgress, silent
from item_embed.training.batches import PretrainingData, batches
from item_embed.training.continuing import SOURCE_FOLDER
from item_embed.training.distributed import Processes, joined
from item_embed.training.initial import OnRemark, initial_model, unsaid
from item_embed.training.loop import Trainer
from item_embed.training.opening import open_run
from item_embed.training.validation import Validate, held_out_losses
from item_embed.training.whitening import FEWEST, whitening_facts, whitening_of, whitening_rows
from item_embed.wording import number_of

# The tokenizer learns pieces of words from the titles of so many rows, drawn, and letters from all: a million titles
# take ten times as long.
_TOKENIZER_ROWS = 100_000

# Views of a row beyond which it is told: masked autoencoders, which gain the longest, take 1,600 (arXiv 2111.06377).
_MOST_VIEWS = 1000


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
        validation: the last losses and metrics on held-out rows; empty where the catalogue has no validation split.
        beginning: where the first weights were taken from, as in `provenance.json`; empty where all were drawn.
    """

    model: Path
    rows: int
    excluded: int
    steps: int
    samples: int
    parameters: int
    validation: dict[str, Any]
    beginning: dict[str, Any]


def pretrain(
    catalog: Catalog,
    run: Path,
    config: RunConfig,
    *,
    exclude_groups: Path | None = None,
    continue_from: Path | None = None,
    resume: bool = False,
    device: torch.device | None = None,
    on_progress: OnProgress = silent,
    on_remark: OnRemark = unsaid,
) -> RunSummary:
    """Pre-train a model on the training split of a catalogue, from titles and photos alone.

    Started by torchrun, several processes train one model together, each on its share of every batch.

    Args:
        catalog: the catalogue.
        run: the run's folder: new, or, to resume, one that was begun with the same configuration and catalogue.
        config: of the run.
        exclude_groups: a Parquet file with a column `item_id`; the groups of those rows are not trained on.
        continue_from: the folder of a trained model to begin with; `continued_config` gives a configuration that fits.
            A run that is resumed has kept what it needs of it.
        resume: go on from the newest checkpoint, or from the start where the run died before its first.
        device: where it trains; None: on a GPU where there is one.
        on_progress: told of steps.
        on_remark: told, before the first step, of rows so few that each is seen very often, and what was taken of
            `continue_from` or of `config.warm_start` and what is new; at the end, where vectors could not be whitened,
            or nothing was left to do.

    Raises:
        ConfigError: when the run's folder exists (without `resume`), or was begun otherwise, or the configuration does
            not fit the model to begin with.
        CatalogError: when no row is left to train on.
        ModelError: when there is nothing to resume from, no model to begin with, or training diverges.
        LostProcessError: when another of the processes that torchrun started has ended.
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
    if config.warm_start.on:  # what cannot be taken is refused before there is a folder
        facts["warm_start"] = {"taken": load_warm_start(config.warm_start, config.model).taken}
    with joined() as processes:
        _check_shares(config, processes)
        processes.once(lambda: open_run(run, config, facts, continue_from, resume))
        if not resume:
            _tell_views(config, len(rows), on_remark)
        processes.once(lambda: run_tokenizer(run, catalog, rows, config))
        tokenizer = run_tokenizer(run, catalog, rows, config)
        beginning = initial_model(run, config, tokenizer)
        model = beginning.model
        for remark in beginning.remarks:
            on_remark(remark)
        assert isinstance(model.config, ItemConfig)
        processor = ItemProcessor.for_config(tokenizer, model.config)

        validate = _validation(catalog, processor, config)
        pretraining = Pretraining(model, config.objectives)
        trainer = Trainer(pretraining, config.training, run, validate, device, processes=processes)
        if resume:
            trainer.resume()
        data = PretrainingData(catalog, rows, processor, config, processes)
        first, began = trainer.step, time.monotonic()
        trainer.fit(batches(data, first, trainer.device), on_progress)
        trained = trainer.whole_model()

        def finish() -> None:
            if first == trainer.step and is_model_folder(run / "model"):
                on_remark(f"{run} made all its {number_of(first, 'step')} before: its model stays as it is")
                return
            course = _course(trainer, first, time.monotonic() - began)
            whitening, by = _whitening(trained, processor, catalog, rows, config=config, on_remark=on_remark)
            provenance = {**facts, **beginning.facts, **course, **by, "config": config.model_dump(mode="json")}
            _save_model(run / "model", trained, processor, provenance=provenance, whitening=whitening)

        processes.once(finish)
    return RunSummary(
        model=run / "model",
        rows=len(rows),
        excluded=excluded,
        steps=config.training.steps,
        samples=config.training.steps * config.training.batch_size,
        parameters=_parameters(model),
        validation=_last_validation(run),
        beginning=beginning.facts,
    )


def _check_shares(config: RunConfig, processes: Processes) -> None:
    """Refuse to share so few pairs that some process would have none."""
    training = config.training
    pairs = training.batch_size // training.accumulation
    if pairs < processes.count:
        raise ConfigError(
            f"training.batch_size={training.batch_size} in {number_of(training.accumulation, 'part')} leaves some of "
            f"the {processes.count} processes without a pair; start fewer, or give a larger batch or fewer parts."
        )


def _tell_views(config: RunConfig, rows: int, on_remark: OnRemark) -> None:
    """Tell where each row will be seen very often."""
    views = config.training.steps * config.training.batch_size // rows
    if views > _MOST_VIEWS:
        on_remark(
            f"{number_of(rows, 'training row')} will be seen about {views:,} times each, and learnt by heart: "
            "prepare more rows, or set fewer training.steps"
        )


def training_rows(catalog: Catalog, exclude_groups: Path | None) -> tuple[NDArray[np.int64], int]:
    """The rows of the training split, less the groups that are to be left out, and how many rows those were."""
    rows = catalog.rows("train")
    if exclude_groups is not None:
        left_out = rows_of_items(exclude_groups, catalog, "--exclude-groups")
        kept = rows[~np.isin(catalog.groups[rows], catalog.groups[left_out])]
    else:
        kept = rows
    if not len(kept):
        raise CatalogError(f"{catalog.path} has no row to train on in its training split; prepare more rows.")
    return kept, len(rows) - len(kept)


def _validation(catalog: Catalog, processor: ItemProcessor, config: RunConfig) -> Validate | None:
    rows = catalog.rows("validation")
    if not len(rows):  # a catalogue of a few dozen groups
        return None
    rows = _drawn(rows, config.training.validation_rows, config.training.seed)
    data = PretrainingData(catalog, rows, processor, config)
    return held_out_losses(data, rows)


def run_tokenizer(run: Path, catalog: Catalog, rows: NDArray[np.int64], config: RunConfig) -> Tokenizer:
    """The tokenizer of a run: the one in its folder, or, before there is one, trained on titles of its rows and kept.

    Training another method on the same rows with the same configuration gives it the same tokenizer. A run that goes on
    from a model has that one's, with new words of these titles; one with `warm_start.text_embeddings` has theirs.

    Args:
        run: the run's folder; the tokenizer lies in `RUN/tokenizer`.
        catalog: the catalogue.
        rows: those that are trained on; at most 100,000 of them, drawn, teach it words, and all of them letters.
        config: of the run: the vocabulary's size, and the seed of the draw.

    Raises:
        ConfigError: when the architecture does not fit `warm_start.text_embeddings`.
        ModelError: when the folder's tokenizer, or theirs, cannot be read.

    Examples:
        >>> rows, _ = training_rows(catalog, None)                             # doctest: +SKIP
        >>> run_tokenizer(Path("run"), catalog, rows, config).encode("Red mug").tokens  # doctest: +SKIP
        ['[CLS]', 'red', 'mug', '[SEP]']
    """
    file = run / "tokenizer" / TOKENIZER_FILE
    if not file.is_file():
        if text := config.warm_start.text_embeddings:
            tokenizer = text_vocabulary(text, config.model).tokenizer
        else:
            tokenizer = _learned_tokenizer(run / SOURCE_FOLDER / TOKENIZER_FILE, catalog, rows, config)
        with whole_file(file) as aside:
            tokenizer.save(str(aside))
    return load_tokenizer(file)


def _learned_tokenizer(known: Path, catalog: Catalog, rows: NDArray[np.int64], config: RunConfig) -> Tokenizer:
    """A tokenizer of the rows' titles, which extends the one that is known, if there is one."""
    drawn = _drawn(rows, _TOKENIZER_ROWS, config.training.seed)
    titles = [title for title in catalog.titles.at(drawn) if title]
    rare = set[str]()
    if len(drawn) < len(rows):
        for part in np.array_split(rows, -(-len(rows) // _TOKENIZER_ROWS)):
            rare.update(*(title for title in catalog.titles.at(part) if title))
    rare.difference_update(*titles)
    letters = "".join(sorted(rare))
    if known.is_file():
        return extend_tokenizer(load_tokenizer(known), titles, config.model.vocab_size, letters=letters)
    return train_tokenizer(titles, config.model.vocab_size, letters=letters)


def _drawn(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of the rows, in their order, but drawn: feeds often come in order of category."""
    if len(rows) <= most:
        return rows
    order = np.argsort(hash64(seed, Stream.ORDER, rows), kind="stable")
    return rows[np.sort(order[:most])]


def _whitening(
    model: ItemForPreTraining,
    processor: ItemProcessor,
    catalog: Catalog,
    rows: NDArray[np.int64],
    *,
    config: RunConfig,
    on_remark: OnRemark,
) -> tuple[Whitening | None, dict[str, Any]]:
    """What the configuration asks to be done to vectors, and what is told of it; nothing where it cannot be fitted."""
    settings = config.whitening
    if not (settings.power or settings.late_fusion):
        return None, {}
    drawn = whitening_rows(catalog, rows, settings.rows, config.training.seed)
    if len(drawn) < FEWEST:
        have = number_of(len(drawn), "row trained on has", "rows trained on have")
        on_remark(f"vectors are not whitened: {have} a photo and a title, and it takes {FEWEST}")
        return None, {}
    try:
        fitted = whitening_of(model.item, processor, catalog, drawn, settings)
    except ModelError as error:  # a model that gives all one vector; it is told, and not lost
        on_remark(f"vectors are not whitened: {error}")
        return None, {}
    left_out = len(catalog.rows("train")) - len(rows)
    return fitted, whitening_facts(catalog, drawn, settings, left_out)


def _course(trainer: Trainer, first: int, seconds: float) -> dict[str, Any]:
    """How a model was trained, for its provenance; time was taken of the steps since `first`."""
    settings = trainer.settings
    return {
        "samples": settings.steps * settings.batch_size,
        "parameters": _parameters(trainer.pretraining.model),
        "minutes": seconds / 60,
        "timed_steps": settings.steps - first,
        "device": trainer.device.type,
        "precision": choose_precision(settings.precision, trainer.device),
    }


def _parameters(model: ItemForPreTraining) -> int:
    """Of the encoder."""
    return sum(parameter.numel() for parameter in model.item.parameters())


def _save_model(
    folder: Path,
    model: ItemForPreTraining,
    processor: ItemProcessor,
    *,
    provenance: dict[str, Any],
    whitening: Whitening | None,
) -> None:
    versions = {"item_embed": item_embed.__version__, "torch": str(torch.__version__)}
    text = json.dumps({**provenance, "versions": versions}, indent=2) + "\n"
    with whole_folder(folder, replace=True) as aside:
        with quiet_transformers():
            model.save_pretrained(aside)
        processor.save_pretrained(aside)
        if whitening is not None:
            whitening.save(aside)
        (aside / PROVENANCE_FILE).write_text(text, encoding="utf8")
        (aside / CARD_FILE).write_text(model_card(aside), encoding="utf8")


def _last_validation(run: Path) -> dict[str, Any]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf8").splitlines()]
    validations = [record for record in records if record["split"] == "validation"]
    return validations[-1] if validations else {}
