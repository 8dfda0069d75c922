"""`benchmarks/questions.py`: what it would run, and which rows smaller catalogues have."""

import sys
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.references import rows_of_items
from item_embed.training.run import training_rows
from tests.catalogs import Row, folder, write_catalog
from tests.evaluation.relistings import query, write_queries

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import questions  # noqa: E402


def test_every_question_is_commands_and_telling_them_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for name in questions.QUESTIONS:
        monkeypatch.setattr(
            sys, "argv", ["questions.py", name, "--data", str(tmp_path), "--out", str(out), "--commands"]
        )
        questions.main()
        told = capsys.readouterr().out.splitlines()
        assert any(" compare " in line or " ablate " in line or " evaluate " in line for line in told), name
    assert not out.exists()


def test_a_step_is_run_once_and_keeps_what_it_says(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    code = f"open({str(tmp_path / 'times')!r}, 'a').write('x'); print('told')"
    step = questions.Step(said, [sys.executable, "-c", code], said)
    step.run()
    step.run()
    assert said.read_text(encoding="utf8") == "told\n"
    assert (tmp_path / "times").read_text(encoding="utf8") == "x"


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    step = questions.Step(tmp_path / "said.txt", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "said.txt")
    with pytest.raises(SystemExit, match="ended with 3"):
        step.run()
    assert not step.done.exists()


def test_fewer_rows_are_whole_groups_and_none_of_a_query(tmp_path: Path) -> None:
    rows = [Row(f"r{i}", f"mug {i}", group=i // 3, split="test" if i < 9 else "train") for i in range(120)]
    catalog = write_catalog(tmp_path / "catalog", rows)
    asked = write_queries(tmp_path / "queries.parquet", [query("r30", title="mug"), query("r61", title="mug")])
    target = tmp_path / "feeds" / "left_out.parquet"
    questions.write_left_out(target, folder(catalog), asked, 40)
    kept, _ = training_rows(catalog, target)
    assert 40 <= len(kept) <= 42
    assert all(count == 3 for count in np.unique(catalog.groups[kept], return_counts=True)[1])
    assert not np.isin(catalog.groups[kept], catalog.groups[rows_of_items(asked, catalog, "--queries")]).any()
