from pathlib import Path
from typing import Any

import pytest

from item_embed.errors import ConfigError
from item_embed.evaluation.begun import begin, is_begun, read_begun

IDENTITY = {"catalogue": "5f0c", "queries": {"split": "test"}}


def test_a_folder_goes_on_with_the_same_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not is_begun(out, "study", IDENTITY)
    begin(out, {**IDENTITY, "about": "méthode"})
    assert is_begun(out, "study", IDENTITY)
    assert read_begun(out, "study", ["about"]) == {"about": "méthode"}
    with pytest.raises(ConfigError, match=r"out was begun with other queries, and .* setup\.json tells"):
        is_begun(out, "study", IDENTITY | {"queries": {"split": "validation"}})
    with pytest.raises(ConfigError, match="begun with another catalogue and other queries"):
        is_begun(out, "study", {"catalogue": "a", "queries": "b"})


def test_what_an_older_version_wrote_is_completed_first(tmp_path: Path) -> None:
    begin(tmp_path / "out", {"catalogue": "5f0c", "queries": {}})

    def complete(begun: dict[str, Any]) -> dict[str, Any]:
        if begun["catalogue"] != "5f0c":
            raise ValueError("no such\ncatalogue")
        return begun | {"queries": {"split": "test"}}

    assert is_begun(tmp_path / "out", "study", IDENTITY, complete=complete)
    begin(tmp_path / "out", {"catalogue": "other", "queries": {}})
    with pytest.raises(ConfigError, match=r"cannot be read \(no such\); choose another --out"):
        is_begun(tmp_path / "out", "study", IDENTITY, complete=complete)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    assert not is_begun(tmp_path, "study", IDENTITY, {"made"})
    for out in (tmp_path, tmp_path / "made"):
        with pytest.raises(ConfigError, match="exists and holds no study; choose another --out"):
            is_begun(out, "study", IDENTITY)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"catalogue": 1}'])
def test_a_damaged_setup_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "setup.json").write_text(text, encoding="utf8")
    with pytest.raises(ConfigError, match=r"setup\.json cannot be read \(.*\); choose another --out"):
        is_begun(tmp_path, "study", IDENTITY)
    with pytest.raises(ConfigError, match="holds no study yet"):
        read_begun(tmp_path / "none", "study", IDENTITY)
