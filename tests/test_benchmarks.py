"""The benchmarks compare like with like, and their parts do what their tables say."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from item_embed.config import RunConfig
from item_embed.model import encoder
from item_embed.model import precision as model_precision
from item_embed.objectives.batch import PretrainingBatch
from tests.catalogs import folder
from tests.tiny import tiny_config, white_catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import gpu  # noqa: E402
from gpu import Speed, fed_by_the_loader, fed_steps, measure, on_ready_batches, print_speeds  # noqa: E402
from minutes import Bench, plan, print_table  # noqa: E402
from models import Contestant, Ours, Vilt  # noqa: E402

import remote  # noqa: E402
from training import SWITCHES, Stage, fast_precision, race, rows, warmed  # noqa: E402

SQUARE = "model.image_size=[32, 32]"  # ViLT's photos are


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    catalog = white_catalog(tmp_path_factory.mktemp("benchmark") / "catalog")
    return Stage.build(catalog, batch=8, count=2, device=torch.device("cpu"))


def vilt(stage: Stage, config: RunConfig, *, shipped: bool) -> Vilt:
    torch.manual_seed(0)
    length = config.model.max_title_tokens if shipped else None
    return Vilt(config.model, stage.vocab_size, 1e-4, shipped=shipped, title_length=length)


def ours(stage: Stage, *settings: str) -> Contestant:
    config = tiny_config(SQUARE, *settings)
    return stage.contestant("ours, base", Ours(config, stage.vocab_size), config, precision="fp32")


def test_all_contestants_see_the_same_titles_tokens_masks_and_photos(stage: Stage) -> None:
    config = tiny_config(SQUARE)
    keep = list(stage.batches(config))
    for switches in SWITCHES.values():
        for ours, batch in zip(stage.batches(tiny_config(SQUARE, *switches)), keep, strict=True):
            for name in ("input_ids", "masked_tokens", "matched", "pixels"):
                assert torch.equal(getattr(ours, name), getattr(batch, name))
    for batch in keep:
        theirs, _ = vilt(stage, config, shipped=True).ready(batch, stage.device)
        length = batch.tokens.shape[1]
        assert torch.equal(theirs.input_ids[:, :length], batch.input_ids)
        assert torch.equal(theirs.attended[:, :length] == 0, batch.token_padding)
        assert torch.equal(theirs.labels[:, :length] >= 0, batch.predicted_tokens)
        assert not theirs.attended[:, length:].any()


def test_vilt_at_its_best_has_the_loss_of_vilt_as_shipped(stage: Stage) -> None:
    config = tiny_config(SQUARE)
    for whole in stage.batches(config):
        padding = whole.token_padding.clone()
        padding[::2, 4:] = True  # the titles that are judged are all as long
        batch = replace(whole, token_padding=padding, masked_tokens=whole.masked_tokens & ~padding)
        losses = []
        for shipped in (True, False):
            model = vilt(stage, config, shipped=shipped)
            with torch.no_grad():  # so far from its initial weights that attention matters
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.5)
            losses.append(model(*model.ready(batch, stage.device)))
        torch.testing.assert_close(losses[0], losses[1])


def test_the_operations_of_vilt_are_those_that_torch_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "attention", encoder.plain_attention)  # torch does not count its kernel for a CPU
    config = tiny_config(SQUARE, "training.batch_size=1")  # so that nothing is padded
    model = vilt(stage, config, shipped=False)
    whole = [batch for batch in replace(stage, count=4).batches(config) if int(batch.predicted_patches.sum())]
    assert whole
    with FlopCounterMode(display=False) as counter:
        for batch in whole:
            model(*model.ready(batch, stage.device)).backward()
    counted = sum(map(model.flops, whole))
    neglected = 4 * config.model.hidden_size  # ITM
    assert counted <= counter.get_total_flops() <= counted + 3 * neglected * len(whole)


def test_the_operations_of_ours_are_those_of_all_pairs_of_a_batch(stage: Stage) -> None:
    batch = next(stage.batches(tiny_config(SQUARE, *SWITCHES["both"])))
    model = ours(stage, *SWITCHES["both"]).module
    tensors = {name: tensor for name, tensor in vars(batch).items() if name != "views"}
    doubled: dict[str, Any] = {name: torch.cat([tensor, tensor]) for name, tensor in tensors.items()}
    twice = replace(batch, **doubled)
    assert model.flops(twice) == pytest.approx(2 * model.flops(batch))


def test_a_batch_without_anything_to_judge_has_a_loss(stage: Stage) -> None:
    config = tiny_config(SQUARE)
    batch = next(stage.batches(config))
    nothing = replace(batch, matched=batch.matched & False, photo_missing=batch.photo_missing | True)
    assert not any(nothing.counts().values())
    models: list[Ours | Vilt] = [vilt(stage, config, shipped=shipped) for shipped in (True, False)]
    for model in (*models, Ours(config, stage.vocab_size)):
        assert float(model(*model.ready(nothing, stage.device)).detach()) == 0


def test_ours_padded_packs_nothing_on_any_device_and_has_the_same_loss(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(SQUARE)
    losses = []
    for padded in (False, True):
        torch.manual_seed(0)
        model = Ours(config, stage.vocab_size, padded=padded)
        losses.append([float(model(*model.ready(batch, stage.device)).detach()) for batch in stage.batches(config)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

    def ragged(_: object) -> None:
        raise AssertionError("packed")

    monkeypatch.setattr(encoder, "attends_ragged", lambda *_: True)  # as on a GPU in bf16
    monkeypatch.setattr(encoder, "ragged", ragged)
    batch = next(stage.batches(config))
    model(*model.ready(batch, stage.device))
    model.padded = False
    with pytest.raises(AssertionError, match="packed"):
        model(*model.ready(batch, stage.device))


def test_every_round_has_rows_of_its_own_and_all_contestants_train_on_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[PretrainingBatch]] = {}

    def recording(name: str, ready: Any) -> Any:
        def record(batch: PretrainingBatch, device: torch.device) -> Any:
            seen.setdefault(name, []).append(batch)
            return ready(batch, device)

        return record

    contestants = [ours(stage), ours(stage, *SWITCHES["both"])]
    for contestant, name in zip(contestants, ("keep", "both"), strict=True):
        monkeypatch.setattr(contestant.module, "ready", recording(name, contestant.module.ready))
    race(warmed(contestants, 2), range(2, 4))
    assert [len(contestant.seconds) for contestant in contestants] == [2, 2]
    for keep, both in zip(seen["keep"], seen["both"], strict=True):
        assert torch.equal(keep.pixels, both.pixels)
    shown = [batch.pixels.numpy().tobytes() for batch in seen["keep"]]
    assert len(set(shown)) == len(shown) == 4


def test_a_cpu_is_not_given_the_precision_of_a_gpu_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(model_precision, "_cpu_flags", set)
    assert fast_precision(torch.device("cpu")) == "fp32"
    assert fast_precision(torch.device("cuda")) == "bf16"


def test_ratios_are_to_the_model_in_the_head_of_their_column(stage: Stage) -> None:
    contestants = []
    named = [("ViLT, as shipped", "fp32"), ("ViLT, at its best", "bf16"), ("ViLT, at its best, compiled", "bf16")]
    named += [("ours, keep, padded", "bf16"), ("ours, keep, padded", "fp32")]
    for number, (name, precision) in enumerate(named):
        contestant = replace(ours(stage), name=name, precision=precision)
        contestant.seconds, contestant.worked = [1 / (number + 1)], [1.0]
        contestants.append(contestant)
    (*_, last) = rows("1 x 16", contestants)
    assert last[4:7] == ["5.00", "1.67", "1.00"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_the_parts_of_the_benchmark_of_a_gpu_work_on_a_cpu(
    stage: Stage, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*SWITCHES["both"], f"training.workers={workers}", f"training.steps={fed_steps(2, workers)}"]
    contestant = ours(stage, *settings)
    speed = on_ready_batches(contestant, 2)
    assert speed.memory == 0
    speed.fed, speed.busy = fed_by_the_loader(contestant, contestant.data, 2)
    assert speed.rate > 0
    assert speed.flops > 0
    assert speed.fed > 0
    assert speed.busy == 0  # of a GPU, by kernels
    reference = [Speed("ViLT, base, compiled", speed.rate / 2, 1.0, 0), Speed("ViLT, base", speed.rate / 3, 1.0, 0)]
    print_speeds([*reference, speed], most=speed.flops * 4)
    *_, compiled, _, last = capsys.readouterr().out.splitlines()
    assert compiled.count("|") == last.count("|") == 9
    assert "| 25.0% |" in last
    assert "| 2.00 |" in last


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_leaves_out_what_fails_compiled_and_measures_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(Stage, "config", lambda _, __, settings: tiny_config(SQUARE, *settings))
    monkeypatch.setattr(gpu, "_empty", lambda: None)
    monkeypatch.setattr(Vilt, "compile_blocks", lambda vilt: setattr(vilt, "forward", fail))
    monkeypatch.setattr(Ours, "compile_blocks", lambda _: None)
    speeds = print_speeds(measure(stage, 1, 0), most=1e12)
    ours = ["ours, small", "ours, small, compiled", "ours, base", "ours, base, compiled"]
    assert [speed.contestant for speed in speeds] == ["ViLT, base", *ours]
    assert [speed.fed is None for speed in speeds] == [True, *(4 * [False])]
    assert "ViLT, base, compiled is left out, since what torch.compile made of it failed here: no compiler\n" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("workers", [1, 16])
def test_windows_fed_by_the_loader_are_longer_than_what_its_workers_hold_ready(workers: int) -> None:
    held = 2 * workers
    assert fed_steps(1, workers) >= 4 * (2 * held) + 1 + 2 * held  # one to get going, three timed, and what is profiled


def test_a_folder_of_minutes_keeps_its_seed_and_settings(tmp_path: Path) -> None:
    (tmp_path / "fashion").mkdir()  # as if prepared, by a version that kept no settings
    first = Bench(tmp_path, tmp_path / "relist.parquet", 0, ["training.batch_size=128"], "tiny", {})
    for _ in range(2):
        first.prepare(tmp_path / "fashion.parquet")
    for other in (replace(first, seed=1), replace(first, settings=[])):
        with pytest.raises(SystemExit, match=r"begun with.*batch_size=128"):
            other.prepare(tmp_path / "fashion.parquet")


def test_the_table_of_minutes_prints_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {"keep": 0.5, "both": 0.25}
    (tmp_path / "seconds_per_step.json").write_text(json.dumps(seconds))
    assert [run.name for run in plan(seconds, [1])] == ["keep-120", "both-240", "both-120"]
    (tmp_path / "keep-120").mkdir()
    (tmp_path / "keep-120" / "seconds.json").write_text("66")
    figure = {"value": 0.5, "low": 0.25, "high": 0.75}
    found = dict.fromkeys(("hit_at_1", "macro_recall_at_10", "map_at_10"), figure)
    (tmp_path / "keep-120" / "both.json").write_text(json.dumps(found))
    (tmp_path / "both-240").mkdir()  # under way
    print_table(tmp_path, [1])
    keep, both, equal = capsys.readouterr().out.splitlines()[-3:]
    shown = " | ".join(3 * ["0.500 [0.250, 0.750]"])
    assert keep == f"| 1 minutes | keep | 120 | 1.1 | {shown} | missing | missing |"
    assert both == "| 1 minutes | both | 240 | " + " | ".join(6 * ["missing"]) + " |"
    assert equal == "| equal samples | both | 120 | " + " | ".join(6 * ["missing"]) + " |"


@pytest.mark.slow  # it imports everything anew
def test_the_benchmark_of_a_gpu_says_in_a_sentence_that_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    ran = subprocess.run([sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "CUDA" in ran.stderr


def test_a_catalogue_is_read_from_a_store_as_from_a_disk(tmp_path: Path) -> None:
    for places in remote.measure(folder(white_catalog(tmp_path / "catalog")), delay=0, rounds=1).values():
        assert {cost.rows for cost in places.values()} <= {40}
        assert places["local"].requests == 0
        assert 0 < places["store"].requests == places["far"].requests
