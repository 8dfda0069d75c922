import json
from dataclasses import replace
from pathlib import Path

import pytest

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.comparison.setup import Setup
from tests.evaluation.comparison.learners import labelled_shop
from tests.evaluation.fakes import shop
from tests.evaluation.relistings import query, write_queries
from tests.tiny import tiny_config


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    catalog = labelled_shop(tmp_path / "catalog")
    return Setup(tmp_path / "out", catalog.path, tiny_config(), Asked())


def test_the_groups_of_given_queries_are_not_learnt_from(setup: Setup, tmp_path: Path) -> None:
    file = write_queries(tmp_path / "queries.parquet", [query("mug 0", title="mug")])
    whole, less = setup.material(0), replace(setup, asked=Asked(file=file), out=tmp_path / "other").material(0)
    learnt = {setup.catalog.ids[row] for row in whole.rows} - {setup.catalog.ids[row] for row in less.rows}
    assert learnt == {f"mug {listing}" for listing in range(4)}
    assert (whole.exclude_groups, less.exclude_groups) == (None, file)


def test_a_seed_changes_the_seed_alone(setup: Setup) -> None:
    one, other = setup.material(0), setup.material(5)
    assert other.config.training.seed == 5
    assert other.config.model_copy(update={"training": one.config.training}) == one.config
    assert not (setup.out / "tokenizer").exists()  # it is trained when it is asked for
    assert one.tokenizer.to_str() == other.tokenizer.to_str()


def test_without_labels_leaves_are_not_asked_for(setup: Setup, tmp_path: Path) -> None:
    assert setup.questions.leaves is not None
    assert replace(setup, leaf_category=False).questions.leaves is None
    assert replace(setup, path=shop(tmp_path / "unlabelled").path).questions.leaves is None


def test_a_comparison_goes_on_with_the_same_alone(setup: Setup, tmp_path: Path) -> None:
    setup.begin()
    setup.begin()
    other = tiny_config("training.steps=7")
    with pytest.raises(ConfigError, match=r"another configuration \(training\.steps: 6, not 7\), and figures of both"):
        replace(setup, config=other).begin()
    with pytest.raises(ConfigError, match="begun with other queries"):
        replace(setup, asked=Asked(relist=3)).begin()
    with pytest.raises(ConfigError, match="begun with another catalogue and other queries"):
        replace(setup, path=shop(tmp_path / "shop").path, asked=Asked(relist=3)).begin()


def test_settings_that_decide_nothing_may_change(setup: Setup) -> None:
    setup.begin()
    replace(setup, config=tiny_config("training.pixel_cache_mb=1", "training.log_every=7")).begin()
    file = setup.out / "setup.json"
    begun = json.loads(file.read_text(encoding="utf8"))
    del begun["configuration"]["augmentation"]  # as an older version wrote it, which knew of none
    begun["configuration"]["training"]["pixel_cache_mb"] = 3  # and named what decides nothing
    file.write_text(json.dumps(begun), encoding="utf8")
    setup.begin()
    begun["configuration"]["training"]["steps"] = "many"
    file.write_text(json.dumps(begun), encoding="utf8")
    with pytest.raises(ConfigError, match=r"setup\.json cannot be read \(.*\); choose another --out"):
        setup.begin()


def test_only_a_folder_that_was_begun_with_the_same_passes(setup: Setup) -> None:
    with pytest.raises(ConfigError, match="holds no comparison yet; run it without --table first"):
        setup.check()
    assert not setup.out.exists()
    setup.begin()
    setup.check()
    with pytest.raises(ConfigError, match="begun with another configuration"):
        replace(setup, config=tiny_config("training.steps=7")).check()


def test_a_folder_is_not_begun_with_queries_that_there_are_none_of(setup: Setup, tmp_path: Path) -> None:
    unlabelled = replace(setup, path=shop(tmp_path / "unlabelled", labels=False).path)
    with pytest.raises(CatalogError, match="no same-product labels"):
        unlabelled.begin()
    assert not setup.out.exists()


def test_a_folder_of_something_else_is_refused(setup: Setup) -> None:
    setup.out.mkdir()
    (setup.out / "letter.txt").write_text("dear all", encoding="utf8")
    with pytest.raises(ConfigError, match="holds no comparison; choose another --out"):
        setup.begin()


def test_the_catalogue_is_opened_once(setup: Setup) -> None:
    assert isinstance(setup.catalog, Catalog)
    assert setup.questions.catalog is setup.catalog


def test_relistings_are_made_once(setup: Setup) -> None:
    relisted = replace(setup, asked=Asked(relist=30))
    made = relisted.questions.queries
    assert any("of 30 relistings could be made" in remark for remark in made.remarks)
    relisted.begin()
    kept = replace(relisted).questions.queries
    for name in ("protocol", "split", "ids", "titles", "columns", "remarks"):
        assert getattr(kept, name) == getattr(made, name)
    assert [kept.photo(number) for number in range(len(kept))] == [made.photo(number) for number in range(len(made))]
    (setup.out / "setup.json").unlink()  # as if it had been killed between the two, with other relistings
    fewer = replace(setup, asked=Asked(relist=2))
    fewer.begin()
    assert len(fewer.questions.queries) == 2
