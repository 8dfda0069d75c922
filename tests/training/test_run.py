import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from item_embed.catalog.store import Catalog
from item_embed.config import MASKED_TASKS, RunConfig
from item_embed.errors import CatalogError, ConfigError, ModelError
from item_embed.model.card import model_card
from item_embed.model.encoder import ItemBlock, ItemModel
from item_embed.model.folder import MODEL_FILES
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import load_model
from item_embed.model.tokenizer import load_tokenizer, train_tokenizer
from item_embed.training import run as training_run
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint
from item_embed.training.optimiser import learning_rate, make_optimizer
from item_embed.training.run import pretrain, run_tokenizer, training_rows
from tests.catalogs import Row, write_catalog
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_rows, white_catalog
from tests.training.runs import StoppedError, records, train, weights

#: The losses of six steps on the tiny catalogue: a refactoring leaves them as they are.
GOLDEN: dict[str, list[float]] = {
    "itm": [0.7170558, 0.7068881, 0.6886662, 0.6633286, 0.6489269, 0.6505555],
    "mlm": [4.37966, 4.4065385, 4.4105743, 4.3811212, 4.412206, 4.3734324],
    "mim": [0.340241, 0.3399159, 0.3341478, 0.3324614, 0.3366798, 0.3366802],
    "gmlm": [4.4408279, 4.4103384, 4.3679352, 4.4089707, 4.3490489, 4.3725897],
    "gmim": [0.3410423, 0.340421, 0.3352964, 0.3318196, 0.3374817, 0.3378541],
}

#: The same where masked patches and background are not encoded, on photos that stand on white.
DROP = ("objectives.patch_masking=drop", "model.background=drop")
GOLDEN_DROP: dict[str, list[float]] = {
    "itm": [0.728207, 0.7114887, 0.6859893, 0.6398276, 0.6211584, 0.6274707],
    "mlm": [4.3522198, 4.3419347, 4.3837421, 4.3389337, 4.4106248, 4.3944402],
    "mim": [0.3519764, 0.3421223, 0.3467725, 0.3166947, 0.3365542, 0.3442647],
    "gmlm": [4.3896111, 4.3818941, 4.4198307, 4.3401282, 4.4106121, 4.3721918],
    "gmim": [0.3518689, 0.3440111, 0.3484204, 0.315603, 0.3336559, 0.3432873],
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("run") / "catalog")


@pytest.fixture(scope="module")
def finished(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    train(catalog, run, "training.validate_every=3")
    return run


def write_items(path: Path, ids: list[str], column: str = "item_id") -> Path:
    pq.write_table(pa.table({column: ids}), path)
    return path


def test_a_seeded_run_has_the_losses_it_always_had(finished: Path) -> None:
    for name, expected in GOLDEN.items():
        losses = [record["losses"][name] for record in records(finished, "train")]
        assert losses == pytest.approx(expected, rel=1e-5), name


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("white") / "catalog")


def test_a_seeded_run_that_drops_has_the_losses_it_always_had(white: Catalog, tmp_path: Path) -> None:
    train(white, tmp_path / "run", *DROP)
    for name, expected in GOLDEN_DROP.items():
        losses = [record["losses"][name] for record in records(tmp_path / "run", "train")]
        assert losses == pytest.approx(expected, rel=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("settings", [DROP, DROP[:1], DROP[1:]])
def test_accumulation_changes_nothing_but_rounding_where_patches_are_dropped(
    settings: tuple[str, ...], white: Catalog, tmp_path: Path
) -> None:
    train(white, tmp_path / "whole", *settings)
    train(white, tmp_path / "parts", *settings, "training.accumulation=4")
    for whole, parts in zip(records(tmp_path / "whole", "train"), records(tmp_path / "parts", "train"), strict=True):
        assert parts["losses"] == pytest.approx(whole["losses"], rel=1e-3)
        assert parts["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-2)


def test_the_same_run_again_is_bit_for_bit_the_same(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # whatever was drawn before
    train(catalog, tmp_path / "again", "training.validate_every=3")
    assert records(tmp_path / "again") == records(finished)
    assert weights(tmp_path / "again") == weights(finished)


def test_another_seed_is_another_run(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    train(catalog, tmp_path / "run", "training.seed=1")
    assert records(tmp_path / "run", "train")[0]["losses"] != records(finished, "train")[0]["losses"]


def test_no_label_is_ever_read(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    rows = tiny_rows()
    shuffled = [
        replace(row, product_id=rows[(7 * i + 3) % 40].product_id, category=rows[(11 * i + 6) % 40].category)
        for i, row in enumerate(rows)
    ]
    other = write_catalog(tmp_path / "catalog", shuffled)
    assert other.product_ids != catalog.product_ids
    assert other.categories != catalog.categories
    train(other, tmp_path / "run", "training.validate_every=3")
    assert records(tmp_path / "run") == records(finished)
    assert weights(tmp_path / "run") == weights(finished)


def test_validation_consumes_no_training_randomness(catalog: Catalog, tmp_path: Path) -> None:
    dropout = "model.dropout=0.3"
    train(catalog, tmp_path / "often", dropout, "training.validate_every=1")
    train(catalog, tmp_path / "once", dropout, "training.validate_every=100")
    assert len(records(tmp_path / "often", "validation")) == 6
    assert len(records(tmp_path / "once", "validation")) == 1
    assert records(tmp_path / "often", "train") == records(tmp_path / "once", "train")
    assert records(tmp_path / "often")[-1] == records(tmp_path / "once")[-1]


def test_measuring_gradients_changes_nothing(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    train(catalog, tmp_path / "run", "training.log_every=6")
    assert len(records(tmp_path / "run", "train")) == 1
    assert weights(tmp_path / "run") == weights(finished)


def test_each_line_says_what_it_should(finished: Path) -> None:
    training, objectives = tiny_config().training, tiny_config().objectives
    lines = records(finished, "train")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["samples"] for line in lines] == [8, 16, 24, 32, 40, 48]
    for step, line in enumerate(lines):
        assert set(line["losses"]) == set(line["objective_gradient_norms"]) == set(MASKED_TASKS)
        assert set(line["metrics"]) == {"itm_accuracy", "mlm_top1", "gmlm_top1", "mim_error", "gmim_error"}
        assert line["learning_rate"] == learning_rate(step, training)
        weighted = {name: w * line["losses"][name] for name, w in objectives.weights.active().items()}
        assert line["loss"] == pytest.approx(sum(weighted.values()))
        assert all(norm > 0 for norm in line["objective_gradient_norms"].values())
        assert line["gradient_norm"] > 0
    held_out = records(finished, "validation")
    assert [line["step"] for line in held_out] == [3, 6]
    assert all(set(line["losses"]) == set(MASKED_TASKS) for line in held_out)


def test_the_model_folder_and_the_summary(catalog: Catalog, tmp_path: Path) -> None:
    summary = train(catalog, tmp_path / "run", "objectives.weights.itm=0")
    assert summary.model == tmp_path / "run" / "model"
    assert {file.name for file in summary.model.iterdir()} == {*MODEL_FILES, "provenance.json", "README.md"}
    assert (summary.rows, summary.excluded, summary.steps, summary.samples) == (32, 0, 6, 48)
    assert summary.validation == records(tmp_path / "run")[-1]
    model = AutoModel.from_pretrained(summary.model)
    assert isinstance(model, ItemModel)
    assert summary.parameters == sum(p.numel() for p in model.parameters())
    assert model.config.objectives == ["mlm", "mim", "gmlm", "gmim"]
    assert ItemProcessor.from_pretrained(summary.model).image_size == (32, 16)
    provenance = json.loads((summary.model / "provenance.json").read_text())
    assert provenance["catalog_fingerprint"] == catalog.fingerprint
    assert provenance["minutes"] > 0
    assert {name: provenance[name] for name in ("parameters", "timed_steps", "device", "precision")} == {
        "parameters": summary.parameters,
        "timed_steps": 6,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "precision": "fp32",
    }
    assert (summary.model / "README.md").read_text(encoding="utf8") == model_card(summary.model)
    assert RunConfig.model_validate(provenance["config"]) == tiny_config("objectives.weights.itm=0")
    assert RunConfig.load(tmp_path / "run" / "config.yaml") == tiny_config("objectives.weights.itm=0")
    assert not list(tmp_path.rglob("*.partial"))
    assert not [f for f in tmp_path.rglob("*") if f.suffix in {".pt", ".pth", ".bin", ".pkl"}]


def test_the_tokenizer_and_the_batches_come_from_the_training_rows_alone(tmp_path: Path) -> None:
    rows = [replace(row, title="zzz qqq") if row.split == "validation" else row for row in tiny_rows()]
    train(write_catalog(tmp_path / "catalog", rows), tmp_path / "run")
    vocabulary = json.loads((tmp_path / "run" / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    assert "z" not in vocabulary
    assert "##q" not in vocabulary


def test_a_large_catalogues_tokenizer_is_trained_on_titles_from_all_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("item_embed.training.run._TOKENIZER_ROWS", 40)
    rows = [Row(id=str(n), title="first half" if n < 200 else "second part") for n in range(400)] + [
        Row("q", "Œuvre 鼎")
    ]
    catalog = write_catalog(tmp_path / "catalog", rows)
    seen: list[str] = []

    def watched(titles: Iterable[str], vocab_size: int, letters: str) -> Tokenizer:
        seen.extend(titles)
        return train_tokenizer(seen, vocab_size, letters=letters)

    monkeypatch.setattr("item_embed.training.run.train_tokenizer", watched)
    train(catalog, tmp_path / "run")
    assert len(seen) == 40
    assert 8 < seen.count("first half") < 32
    assert seen == sorted(seen)  # the order of the rows
    tokenizer = load_tokenizer(tmp_path / "run" / "tokenizer" / "tokenizer.json")
    assert "[UNK]" not in tokenizer.encode("œuvre 鼎 avec u").tokens  # letters of all titles are kept


def test_rows_and_configuration_decide_a_runs_tokenizer_and_its_folder_keeps_it(
    catalog: Catalog, finished: Path, tmp_path: Path
) -> None:
    rows, _ = training_rows(catalog, None)
    elsewhere = run_tokenizer(tmp_path / "elsewhere", catalog, rows, tiny_config())
    assert elsewhere.to_str() == load_tokenizer(finished / "tokenizer" / "tokenizer.json").to_str()
    kept = run_tokenizer(tmp_path / "elsewhere", catalog, rows[:1], tiny_config("model.vocab_size=64"))
    assert kept.to_str() == elsewhere.to_str()
    assert run_tokenizer(tmp_path / "other", catalog, rows[:1], tiny_config()).to_str() != elsewhere.to_str()


@pytest.mark.parametrize("head", ["linear", "conditioned"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_with_another_global_head_that_judges_whole_pairs(
    head: str, precision: str, white: Catalog, tmp_path: Path
) -> None:
    settings = (f"objectives.global_head={head}", "objectives.itm_input=whole", f"training.precision={precision}")
    summary = train(white, tmp_path / "run", *settings, *DROP, "training.accumulation=2")
    assert set(summary.validation["losses"]) == set(MASKED_TASKS)
    for line in records(tmp_path / "run", "train"):
        assert all(norm > 0 for norm in line["objective_gradient_norms"].values())
    assert load_model(summary.model, ItemForPreTraining).config.global_head == head
    assert RunConfig.load(tmp_path / "run" / "config.yaml").objectives.itm_input == "whole"


def test_accumulation_changes_losses_by_rounding_only(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    train(catalog, tmp_path / "run", "training.accumulation=4")
    for whole, parts in zip(records(finished, "train"), records(tmp_path / "run", "train"), strict=True):
        assert parts["losses"] == pytest.approx(whole["losses"], rel=1e-3)
        assert parts["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-2)
        for name, norm in whole["objective_gradient_norms"].items():
            assert parts["objective_gradient_norms"][name] == pytest.approx(norm, rel=1e-2)


def test_activations_that_are_computed_again_are_the_same(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    forward = ItemBlock.forward

    def counted(block: ItemBlock, *inputs: Any) -> torch.Tensor:
        calls.append(block.training)
        return forward(block, *inputs)

    monkeypatch.setattr(ItemBlock, "forward", counted)
    settings = ("model.dropout=0.3", "training.steps=3", "training.accumulation=2")
    seen = []
    for name in ("false", "true"):
        train(catalog, tmp_path / name, *settings, f"training.activation_checkpointing={name}")
        seen.append(sum(calls))
        calls.clear()
    assert seen[1] == 2 * seen[0]
    assert records(tmp_path / "true") == records(tmp_path / "false")
    assert weights(tmp_path / "true") == weights(tmp_path / "false")


@pytest.mark.parametrize(("most", "told"), [(3, ["{} training rows will be seen about 4 times each"]), (4, [])])
def test_rows_that_are_seen_very_often_are_told_before_the_first_step(
    most: int, told: list[str], catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "_MOST_VIEWS", most)
    rows = len(catalog.rows("train"))
    said: list[str] = []

    def stop(done: int, total: int | None) -> None:
        raise StoppedError

    views = tiny_config(f"training.batch_size={rows}", "training.steps=4")
    with pytest.raises(StoppedError):
        pretrain(catalog, tmp_path / "run", views, on_progress=stop, on_remark=said.append)
    assert [remark.split(",")[0] for remark in said] == [text.format(rows) for text in told]


def test_a_catalogue_without_validation_rows_claims_no_held_out_loss(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [replace(row, split="train") for row in tiny_rows()])
    summary = train(catalog, tmp_path / "run")
    assert summary.rows == 40
    assert summary.validation == {}
    assert records(tmp_path / "run", "validation") == []


@pytest.mark.parametrize("lacking", ["title", "image"])
def test_a_catalogue_of_one_modality_trains(lacking: str, tmp_path: Path) -> None:
    rows = [Row(row.id, row.title or "mug", row.image or tiny_rows()[0].image) for row in tiny_rows()]
    rows = [replace(row, title=None) if lacking == "title" else replace(row, image=None) for row in rows]
    train(write_catalog(tmp_path / "catalog", rows), tmp_path / "run", "training.steps=3")
    expected = {"mim", "gmim"} if lacking == "title" else {"mlm", "gmlm"}
    assert set(records(tmp_path / "run", "train")[0]["losses"]) == expected


def test_fp32_and_bf16_in_one_process(catalog: Catalog, finished: Path, tmp_path: Path) -> None:
    train(catalog, tmp_path / "bf16", "training.precision=bf16")
    train(catalog, tmp_path / "fp32")
    assert weights(tmp_path / "fp32") == weights(finished)
    low, high = records(tmp_path / "bf16", "train"), records(tmp_path / "fp32", "train")
    assert low[0]["losses"] != high[0]["losses"]
    for name, loss in high[0]["losses"].items():
        assert low[0]["losses"][name] == pytest.approx(loss, rel=0.02)


def test_groups_of_the_rows_named_are_left_out(catalog: Catalog, tmp_path: Path) -> None:
    items = write_items(tmp_path / "queries.parquet", ["item 4", "item 11", "item 4", "item 36"])
    rows, excluded = training_rows(catalog, items)
    assert set(range(32)) - set(rows.tolist()) == {4, 5, 10, 11}  # with the others of their groups
    assert excluded == 4
    summary = pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=items)
    assert (summary.rows, summary.excluded) == (28, 4)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exclude_groups"] == str(items)


@pytest.mark.parametrize(
    ("ids", "column", "sentence"),
    [
        (["item 4"], "id", "is not a Parquet file with a column item_id"),
        (["item 4", "nothing"], "item_id", "names 1 items that .* does not have, for example 'nothing'"),
    ],
)
def test_a_file_of_groups_that_does_not_fit_is_one_sentence(
    ids: list[str], column: str, sentence: str, catalog: Catalog, tmp_path: Path
) -> None:
    items = write_items(tmp_path / "queries.parquet", ids, column)
    with pytest.raises(ConfigError, match=f"--exclude-groups .*{sentence}"):
        pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=items)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [None, b"item_id\n4\n"])
def test_no_parquet_file_of_groups_is_one_sentence(content: bytes | None, catalog: Catalog, tmp_path: Path) -> None:
    items = tmp_path / "queries.parquet"
    if content is not None:
        items.write_bytes(content)
    with pytest.raises(ConfigError, match="give a Parquet file") as caught:
        pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=items)
    assert "\n" not in str(caught.value)


def test_no_row_to_train_on_is_one_sentence(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [replace(row, split="test") for row in tiny_rows()])
    with pytest.raises(CatalogError, match="has no row to train on"):
        train(catalog, tmp_path / "run")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_run_that_exists_is_left_alone(kind: str, catalog: Catalog, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if kind == "folder":
        run.mkdir()
        (run / "notes.txt").write_text("mine")
    else:
        run.write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not empty"):
        train(catalog, run)
    assert [p.name for p in tmp_path.rglob("*.txt")] == (["notes.txt"] if kind == "folder" else [])


def test_a_nan_stops_the_run_and_the_last_good_checkpoint_loads(catalog: Catalog, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ModelError, match="training stopped at step") as caught:
        train(catalog, run, "training.learning_rate=1e30", "training.checkpoint_every=1")
    kept = latest_checkpoint(run / "checkpoints")
    assert kept is not None
    assert f"the last good checkpoint is {kept}" in str(caught.value)
    assert "--resume with a lower training.learning_rate" in str(caught.value)
    assert not (run / "model").exists()
    config = tiny_config()
    model = tiny_model(ItemProcessor.from_pretrained(_finished_model(catalog, tmp_path)), config)
    state = load_checkpoint(kept, model, make_optimizer(model, config.training))
    assert state["step"] == len(records(run, "train"))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def _finished_model(catalog: Catalog, tmp_path: Path) -> Path:
    return train(catalog, tmp_path / "sound", "training.steps=3").model


def test_a_nan_before_any_checkpoint_says_so(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint was written yet"):
        train(catalog, tmp_path / "run", "training.learning_rate=1e30", "training.checkpoint_every=100")


def test_progress_is_told_step_by_step(catalog: Catalog, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    pretrain(catalog, tmp_path / "run", tiny_config(), on_progress=lambda *units: told.append(units))
    assert told == [(step, 6) for step in range(1, 7)]


def test_the_log_is_closed_when_a_run_is_stopped(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "run", stop_at=3)
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2, 3]


def test_a_stopped_run_may_go_on_more_carefully(catalog: Catalog, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ModelError, match="training stopped at step"):
        train(catalog, run, "training.learning_rate=1e30", "training.checkpoint_every=100")
    careful = tiny_config("training.learning_rate=1e-4", "training.max_grad_norm=0.5", "training.checkpoint_every=100")
    assert pretrain(catalog, run, careful, resume=True).steps == 6
    assert RunConfig.load(run / "config.yaml") == careful
    other = tiny_config("training.seed=1", "training.checkpoint_every=100")
    with pytest.raises(ConfigError, match="begun with another configuration") as caught:
        pretrain(catalog, run, other, resume=True)
    assert "training.learning_rate" in str(caught.value)


def test_others_that_cannot_be_found_are_one_sentence(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match="WORLD_SIZE is 4, but MASTER_ADDR and MASTER_PORT is not set"):
        train(catalog, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_keeps_its_settings_and_its_model(catalog: Catalog, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(catalog, run)
    before = {file: file.read_bytes() for file in (run / "config.yaml", run / "model" / "provenance.json")}
    with pytest.raises(ConfigError, match="has made all its steps"):
        pretrain(catalog, run, tiny_config("training.learning_rate=1e-4"), resume=True)
    assert {file: file.read_bytes() for file in before} == before
