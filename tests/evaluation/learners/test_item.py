from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError
from item_embed.evaluation.learners.choosing import learner
from item_embed.evaluation.learners.item import Item
from item_embed.training.run import pretrain, training_rows
from tests.evaluation.learners.made import StoppedError, fit, material, never, stop_at
from tests.tiny import tiny_config


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def test_it_is_item_pretrain_and_goes_on_where_it_was_killed(catalog: Catalog, tmp_path: Path) -> None:
    pretrain(catalog, tmp_path / "run", tiny_config())
    for step in (1, 3):  # before the first checkpoint, and after it
        with pytest.raises(StoppedError):
            Item.named("item").fit(material(catalog), tmp_path / "item", "cpu", stop_at(step))
    fitted = fit(Item.named("item"), material(catalog), tmp_path / "item")
    assert weights(tmp_path / "item") == weights(tmp_path / "run")
    assert fitted.parameters == material(catalog).parameters
    assert fitted.samples == 6 * 8
    assert isinstance(fitted.embeds, Embedder)
    assert not (tmp_path / "item" / "checkpoints").exists()
    rarely = material(catalog, "training.log_every=5", "training.pixel_cache_mb=1")  # decides nothing
    again = Item.named("item").fit(rarely, tmp_path / "item", "cpu", never)
    assert again.minutes == fitted.minutes > 0
    with pytest.raises(ConfigError, match="holds a run of other rows or settings"):
        fit(Item.named("item"), material(catalog, "training.seed=1"), tmp_path / "item")


def test_it_is_trained_on_the_device_that_vectors_are_made_on(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretrain(*_: object, device: torch.device, **__: object) -> None:
        assert device == torch.device("meta")
        raise StoppedError

    monkeypatch.setattr("item_embed.evaluation.learners.resuming.pretrain", pretrain)
    with pytest.raises(StoppedError):
        Item.named("item").fit(material(catalog), tmp_path / "item", "meta")


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("item", {"itm", "mlm", "mim", "gmlm", "gmim"}),
        ("item-five", {"itm", "mlm", "mim", "gmlm", "gmim"}),
        ("item-agreement", {"agreement"}),
        ("item-local", {"itm", "mlm", "mim"}),
        ("item-global", {"itm", "gmlm", "gmim"}),
        ("item:objectives.weights.itm=0,objectives.weights.mim=0", {"mlm", "gmlm", "gmim"}),
    ],
)
def test_variants_are_settings(name: str, tasks: set[str]) -> None:
    variant = learner(name)
    assert isinstance(variant, Item)
    assert variant.name == name
    assert variant.changed(tiny_config()).objectives.weights.active().keys() == tasks


def test_a_variant_keeps_the_weights_of_the_configuration_and_gives_others_the_default_ones() -> None:
    local, search = Item.named("item-local"), RunConfig.load("search")
    assert local.changed(tiny_config("objectives.weights.mim=3")).objectives.weights.active() == {
        "itm": 1,
        "mlm": 1,
        "mim": 3,
    }
    assert local.changed(search).objectives.weights.active() == {"itm": 1, "mlm": 1, "mim": 10}
    agreement = Item.named("item-agreement")
    assert agreement.changed(tiny_config()).objectives.weights.active() == {"agreement": 1}
    assert agreement.changed(tiny_config("objectives.weights.agreement=2")).objectives.weights.agreement == 2


def test_a_value_may_hold_commas() -> None:
    changed = Item.named("item:objectives.token_corruption=[1,0,0],training.steps=9").changed(tiny_config())
    assert list(changed.objectives.token_corruption) == [1, 0, 0]
    assert changed.training.steps == 9


def test_settings_that_are_none_are_one_sentence(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'item:wide' is no method: write item:KEY=VALUE"):
        Item.named("item:wide")
    with pytest.raises(ConfigError, match=r"the method item:training.stepps=3: there is no setting training.stepps"):
        fit(Item.named("item:training.stepps=3"), material(catalog), tmp_path / "run")


def test_groups_that_are_left_out_stay_out(catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "queries.parquet"
    pq.write_table(pa.table({"item_id": ["item 4"]}), file)
    rows, excluded = training_rows(catalog, file)
    assert excluded == 2
    given = replace(material(catalog), rows=rows, exclude_groups=file)
    fit(Item.named("item"), given, tmp_path / "item")
    pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=file)
    assert weights(tmp_path / "item") == weights(tmp_path / "run")
    with pytest.raises(ValueError, match="not the training split less the groups"):
        fit(Item.named("item"), replace(given, rows=rows[:-1]), tmp_path / "other")
    assert not np.array_equal(rows, catalog.rows("train"))
