import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from item_embed.errors import ModelError
from item_embed.model.card import add_table, model_card
from item_embed.model.configuration import ItemConfig
from tests.tiny import tiny_config

KNOWN: dict[str, Any] = {
    "catalog": "/data/secret place/shoes",
    "catalog_fingerprint": "a" * 64,
    "rows": 32,
    "excluded_rows": 1_400,
    "exclude_groups": "/data/secret place/asked.parquet",
    "samples": 48,
    "parameters": 2_330_000,
    "minutes": 12.34,
    "timed_steps": 6,
    "device": "cpu",
    "precision": "bf16",
    "config": tiny_config("objectives.weights.agreement=1").model_dump(mode="json"),
    "versions": {"item_embed": "0.1.0", "torch": "2.13"},
}


def folder_of(path: Path, **changes: Any) -> Path:
    """A folder with what a card is made of; None takes an entry out."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(ItemConfig(image_size=(32, 16), patch_size=8).to_dict()))
    known = {name: value for name, value in (KNOWN | changes).items() if value is not None}
    (path / "provenance.json").write_text(json.dumps(known))
    return path


def headings(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("#")]


def test_the_hub_reads_the_metadata(tmp_path: Path) -> None:
    card = ModelCard(model_card(folder_of(tmp_path / "model")))
    assert card.data.to_dict() == {  # type: ignore[no-untyped-call]
        "license": "unknown",
        "library_name": "item-embed",
        "pipeline_tag": "feature-extraction",
        "tags": ["item-embed", "product-embedding", "multimodal", "e-commerce"],
    }
    assert card.text.lstrip().startswith("# Product embedding: 768 numbers")


def test_it_tells_data_settings_and_training_and_no_path_of_this_machine(tmp_path: Path) -> None:
    card = model_card(folder_of(tmp_path / "model"))
    assert headings(card)[1:] == [
        "## Data",
        "## Model and objectives",
        "## Training",
        "## Use",
        "## Limits",
        "## Licence",
    ]
    for said in (
        "the catalogue `shoes` (fingerprint `aaaaaaaaaaaa`): 32 rows of its training split",
        "1,400 rows, the groups of `asked.parquet`",
        "itm 1, mlm 1, mim 2, gmlm 1, gmim 0.5, agreement 1.",
        "Predicted: 15 % of a title's tokens, 50 % of a photo's patches.",
        "Agreement: temperature 0.05",
        "48 samples in 6 steps of 8, each row 1.5 times.",
        "learning_rate 0.001, warmup_steps 2",
        "seed 0",
        "2.33 million in the encoder",
        "Time: 12.3 minutes, on cpu, in bf16.",
        "item_embed 0.1.0, torch 2.13",
        "in 8 patches",
        "Embedder.from_pretrained(",
    ):
        assert said in card
    assert "secret" not in card


def test_a_resumed_run_tells_which_steps_were_timed(tmp_path: Path) -> None:
    assert "minutes for the last 2 steps, on" in model_card(folder_of(tmp_path / "model", timed_steps=2))


def test_it_tells_what_models_it_went_on_from(tmp_path: Path) -> None:
    first = {"model": "/secret/a", "fingerprint": "b" * 64}
    second = {"fingerprint": "c" * 64, "catalog": "/secret/bags", "catalog_fingerprint": "d" * 64, "samples": 5_000}
    card = model_card(folder_of(tmp_path / "model", **{"from": {**second, "from": first}}))
    line = (
        "It went on from the model `cccccccccccc`, 5,000 samples of the catalogue `bags` (fingerprint `dddddddddddd`)."
    )
    assert card.index(line) < card.index("It went on from the model `bbbbbbbbbbbb`.")
    assert "secret" not in card


@pytest.mark.parametrize("agreement", [0, 1])
def test_it_says_where_no_objective_shapes_the_cosine(agreement: int, tmp_path: Path) -> None:
    config = tiny_config(f"objectives.weights.agreement={agreement}").model_dump(mode="json")
    assert ("no objective asked" in model_card(folder_of(tmp_path / "model", config=config))) == (agreement == 0)


def test_what_was_not_written_down_is_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    (folder / "provenance.json").unlink()
    card = model_card(folder)
    assert "was not written down" in card
    assert "Objectives and" not in card
    older = model_card(folder_of(tmp_path / "older", minutes=None, parameters=None, rows=None, versions=None))
    assert "Time:" not in older
    assert "48 samples in 6 steps of 8." in older


def test_a_baseline_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="supervised, a baseline of `item compare`"):
        model_card(folder_of(tmp_path / "model", learner="supervised"))


def test_a_table_goes_into_the_card_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    plain = model_card(folder)
    add_table(
        folder, "a task on shoes", ["method", "hit|1"], [["model", "0.5 [0.4, 0.6]"]], ["12 queries.", "A remark."]
    )
    card = (folder / "README.md").read_text()
    table = "| method | hit\\|1 |\n| --- | --- |\n| model | 0.5 [0.4, 0.6] |"
    block = f"### a task on shoes\n\n{table}\n\n12 queries.\n\nA remark.\n"
    assert card == plain.replace("\n## Limits", f"\n## Evaluation\n\n{block}\n## Limits")
    add_table(folder, "a task on bags", ["method"], [["model"]])
    add_table(folder, "a task on shoes", ["method"], [["better"]], ["13 queries."])
    card = (folder / "README.md").read_text()
    evaluation = card[card.index("## Evaluation") : card.index("\n## Limits")]
    assert headings(evaluation) == ["## Evaluation", "### a task on shoes", "### a task on bags"]
    assert "0.5" not in evaluation
    assert "| better |\n\n13 queries.\n\n### a task on bags" in evaluation
    once_more = card
    add_table(folder, "a task on bags", ["method"], [["model"]])
    assert (folder / "README.md").read_text() == once_more


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", ["## Evaluation", "### a task"]),
        ("# Mine\n", ["# Mine", "## Evaluation", "### a task"]),
        (
            "# Mine\n\n## Evaluation\n\nRead this first.\n\n## Thanks\n\nto all\n",
            ["# Mine", "## Evaluation", "### a task", "## Thanks"],
        ),
    ],
)
def test_what_its_owner_wrote_stays(own: str, expected: list[str], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    (folder / "README.md").write_text(own)
    add_table(folder, "a task", ["method"], [["model"]])
    card = (folder / "README.md").read_text()
    assert headings(card) == expected
    assert [line for line in card.splitlines() if line in own.splitlines() and line] == [
        *filter(None, own.splitlines())
    ]


def test_an_exported_model_without_a_card_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="was exported from a model without a card"):
        add_table(tmp_path, "Same product", ["hit@1"], [["0.7"]])


def test_a_card_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    (folder / "README.md").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ModelError, match=r"README\.md cannot be read .*; mend or remove it"):
        add_table(folder, "a task", ["method"], [["model"]])
