"""The folder of a run: begun, or found to have been begun with the same."""

import json
from pathlib import Path
from typing import Any

from item_embed.config import RunConfig
from item_embed.errors import ConfigError, ModelError
from item_embed.files import whole_file, whole_folder
from item_embed.training.continuing import SOURCE_FOLDER, Source

# What may change when a run is resumed: what helps one that diverged, and how weights are kept.
_CHANGEABLE = ("learning_rate", "max_grad_norm", "precision", "sharding")


def open_run(run: Path, config: RunConfig, facts: dict[str, Any], continue_from: Path | None, resume: bool) -> None:
    """Begin a run's folder, or make sure that it was begun with the same.

    Args:
        run: the folder; new or empty, or, to resume, a run's.
        config: of the run.
        facts: what it is given: the catalogue, and which of its rows.
        continue_from: the folder of a model to go on from, of which the run keeps what it needs.
        resume: whether the folder was begun before.

    Raises:
        ConfigError: when the folder is taken, or was begun with something else.
        ModelError: when there is no run to resume, or no model to go on from.
    """
    source = None if continue_from is None else Source.of(continue_from)
    told = facts if source is None else {**facts, "from": source.facts}
    if resume:
        _continue(run, config, told)
    else:
        _begin(run, config, told, source)


def _begin(run: Path, config: RunConfig, facts: dict[str, Any], source: Source | None) -> None:
    if source is not None:
        source.check(config)
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise ConfigError(f"{run} exists and is not empty: choose another --out, or go on with it by --resume.")
    with whole_folder(run) as aside:
        config.save(aside / "config.yaml")
        (aside / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf8")
        if source is not None:
            source.copy(aside / SOURCE_FOLDER)


def _continue(run: Path, config: RunConfig, facts: dict[str, Any]) -> None:
    if not (run / "config.yaml").is_file() or not (run / "run.json").is_file():
        raise ModelError(f"{run} holds no run to resume; start it without --resume.")
    begun_with = RunConfig.load(run / "config.yaml")
    changes = {name: getattr(config.training, name) for name in _CHANGEABLE}
    training = begun_with.training.model_copy(update=changes)
    if begun_with.model_copy(update={"training": training}) != config:
        raise ConfigError(
            f"{run} was begun with another configuration ({run / 'config.yaml'}); resume it with that one. "
            f"Only {', '.join(f'training.{name}' for name in _CHANGEABLE)} may change."
        )
    begun = json.loads((run / "run.json").read_text(encoding="utf8"))
    for key in ("catalog_fingerprint", "rows_sha256"):
        if begun.get(key) != facts[key]:
            raise ConfigError(
                f"{run} was begun on other rows (of {begun['catalog']}); resume it with the same catalogue "
                "and the same --exclude-groups."
            )
    if "from" in facts and begun.get("from", {}).get("fingerprint") != facts["from"]["fingerprint"]:
        raise ConfigError(
            f"{run} was not begun with {facts['from']['model']}; resume it without --from: it has what it needs."
        )
    if config == begun_with:
        return
    if (run / "model").exists():
        raise ConfigError(f"{run} has made all its steps; its settings cannot change any more. Start another run.")
    with whole_file(run / "config.yaml") as aside:
        config.save(aside)
