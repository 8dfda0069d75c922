import json
from pathlib import Path

import pytest

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.resuming import pretrain_or_resume
from item_embed.evaluation.learners.trained import is_done
from item_embed.training.run import pretrain
from tests.evaluation.learners.made import StoppedError, stop_at
from tests.tiny import tiny_config


def test_a_killed_run_ends_as_one_that_was_not_and_its_minutes_are_counted_on(catalog: Catalog, tmp_path: Path) -> None:
    config, run = tiny_config(), tmp_path / "run"
    pretrain(catalog, tmp_path / "whole", config)
    for step in (1, 3):  # before the first checkpoint, and after it
        with pytest.raises(StoppedError):
            pretrain_or_resume(catalog, run, config, on_progress=stop_at(step))
    assert not is_done(run)
    (run / "spent.json").write_text('{"minutes": 100, "cpu_minutes": 200}', encoding="utf8")
    pretrain_or_resume(catalog, run, config)
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (tmp_path / "whole", run)]
    assert weights[0] == weights[1]
    done = json.loads((run / "done.json").read_text(encoding="utf8"))
    assert done["samples"] == config.training.steps * config.training.batch_size
    assert 100 < done["minutes"] < 105
    assert 200 < done["cpu_minutes"] < 205
