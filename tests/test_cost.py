"""`benchmarks/cost.py`: hours, cores, disk and price against cases worked by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from item_embed.catalog.store import Catalog
from item_embed.model.tokenizer import train_tokenizer
from tests.catalogs import Row, write_catalog
from tests.tiny import pattern, tiny_config, white_catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import cost  # noqa: E402
from cost import Assumed, Cost, Work, table, told  # noqa: E402

from training import SWITCHES  # noqa: E402

# 4 GPUs of 100 TFLOP/s at a half make 2e14 operations a second.
ASSUMED = Assumed(listings=9_000_000, epochs=4, gpus=4, peak=1e14, utilisation=0.5, decoding=0.002, price=2.5)


def test_training_by_hand() -> None:
    """36 million pairs of 40 GFLOP are 1.44e18 operations: two hours, 5,000 pairs a second, eight hours of a GPU."""
    found = Cost.of(9_000_000 * 4, 40e9, ASSUMED)
    assert found.flops == pytest.approx(1.44e18)
    assert found.hours == pytest.approx(2)
    assert found.cores == pytest.approx(5000 * 0.002)
    assert found.price == pytest.approx(8 * 2.5)


def test_twice_the_gpus_take_half_the_time_twice_the_cores_and_the_same_money() -> None:
    one, two = (Cost.of(1e6, 1e10, replace(ASSUMED, gpus=gpus)) for gpus in (4, 8))
    assert two.hours == pytest.approx(one.hours / 2)
    assert two.cores == pytest.approx(one.cores * 2)
    assert two.price == pytest.approx(one.price)


def test_the_table_by_hand() -> None:
    """Training as above; embedding 9 million of 8 GFLOP: 7.2e16, six minutes, 25,000 a second, 0.4 hours of a GPU."""
    work = Work(title=9, patches=98, whole=196, training=40e9, embedding=8e9, prepared=0.001)
    *_, training, embedding = table({"keep": work}, ASSUMED)
    assert training == "| keep | training | 98 | 40 | 1.44 | 2 | 10 | 20 |"
    assert embedding == "|  | embedding | 196 | 8 | 0.072 | 0.1 | 50 | 1 |"
    assert told(ASSUMED) == (
        "assumed: 9,000,000 listings, seen 4 times and embedded once; 4 GPUs of 100 TFLOP/s at 50%, 2.5 an hour each; "
        "2 ms of one core to prepare a pair"
    )


def test_the_operations_of_a_listing_by_hand(tmp_path: Path) -> None:
    """Two words and two special tokens, eight patches: nothing is padded or left out."""
    rows = [Row(f"r{i}", ("red mug", "blue mug")[i % 2], pattern(i), group=i) for i in range(16)]
    catalog = write_catalog(tmp_path / "catalog", rows)
    config = tiny_config("model.num_hidden_layers=3")  # hidden size 16, MLPs of 32, patches of 8 x 8 pixels
    found = Work.of(catalog, train_tokenizer(["red mug", "blue mug"] * 2, 64), config, 16)
    assert (found.title, found.patches, found.whole) == (4, 8, 8)
    block = 12 * (8 * 16 * 16 + 4 * 16 * 32) + 4 * 12 * 12 * 16
    assert found.embedding == 2 * 8 * 192 * 16 + 3 * block
    assert found.training > 3 * found.embedding - 2 * 8 * 192 * 16  # and the heads
    assert found.prepared > 0


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return white_catalog(tmp_path / "catalog")


def test_each_switch_saves_and_embedding_masks_nothing(catalog: Catalog) -> None:
    tokenizer = train_tokenizer([title for title in catalog.titles if title], 80)
    works = {name: Work.of(catalog, tokenizer, tiny_config(*switches), 32) for name, switches in SWITCHES.items()}
    keep, masked, background, both = works.values()
    assert keep.training > masked.training > both.training
    assert keep.training > background.training > both.training
    assert keep.patches == keep.whole == masked.whole > masked.patches
    assert keep.embedding == masked.embedding > background.embedding == both.embedding
    assert {work.title for work in works.values()} == {keep.title}


def test_the_script_says_what_is_assumed_and_what_is_computed(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", "tiny", "--pairs", "8", "--listings", "1000000000", "model.vocab_size=64"]
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # which the script sets, for itself alone
    monkeypatch.setattr(sys, "argv", ["cost.py", "--catalog", str(catalog.path), *options])
    cost.main()
    computed, timed, assumed, *rows, vectors = capsys.readouterr().out.splitlines()
    assert computed.startswith("computed: 3 x 128, photos of 80 x 64 in 20 patches, 64 tokens; 8 pairs of catalog: ")
    assert timed.startswith("timed here: ")
    assert assumed.startswith("assumed: 1,000,000,000 listings, seen 5 times and embedded once; 8 GPUs of 989 TFLOP/s")
    assert [row.split("|")[1].strip() for row in rows if "training" in row] == list(SWITCHES)
    assert vectors == "vectors: 512 GB in float32, 256 GB in half precision"


@pytest.mark.parametrize("option", [["--gpus", "0"], ["--epochs", "-1"], ["--utilisation", "40"]])
def test_numbers_that_make_no_sense_are_refused(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cost.py", "--catalog", "none", *option])
    with pytest.raises(SystemExit):
        cost.main()
    assert f"{option[0]} is {option[1]}; give a" in capsys.readouterr().err
