import json
from pathlib import Path

import numpy as np
import pytest

from item_embed.errors import ConfigError
from item_embed.evaluation.comparison.entry import Entry, Facts, read_entry, write_entry
from item_embed.evaluation.measured import Sums


def entry() -> Entry:
    return Entry(
        "clip",
        2,
        Facts("both", parameters=7, samples=8, minutes=1.5, note="told"),
        {"accuracy": Sums(np.ones(2), np.ones(2))},
    )


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    write_entry(tmp_path, entry())
    found = read_entry(tmp_path)
    assert found is not None
    assert (found.method, found.seed, found.facts) == ("clip", 2, entry().facts)
    assert found.measured["accuracy"].value == 1


def test_a_folder_without_one_holds_none(tmp_path: Path) -> None:
    assert read_entry(tmp_path / "nothing") is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"method": "clip"}', '{"method": "clip", "seed": 0, "smell": 1}'])
def test_a_damaged_one_is_named(tmp_path: Path, damage: str) -> None:
    write_entry(tmp_path, entry())
    (tmp_path / "entry.json").write_text(damage, encoding="utf8")
    with pytest.raises(ConfigError, match=r"entry\.json cannot be read.*remove it"):
        read_entry(tmp_path)


def test_it_is_plain_json(tmp_path: Path) -> None:
    write_entry(tmp_path, entry())
    assert json.loads((tmp_path / "entry.json").read_text(encoding="utf8"))["sees"] == "both"
