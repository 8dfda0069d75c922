import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
import torch
import torch.distributed as dist
from accelerate.utils import is_torch_version
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError, ModelError
from item_embed.model.folder import provenance
from item_embed.model.heads import ItemForPreTraining
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from item_embed.training.sharding import is_sharded, read_shares, sharding_accelerator, whole_model
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_processor, white_catalog
from tests.training.gang import ROOT, environment, run_gang
from tests.training.runs import compare, train, weights

pytestmark = pytest.mark.skipif(not is_torch_version(">=", "2.9"), reason="torch writes no shares as safetensors")

STATE = {"means": {"sums": {"mlm": 0.1 + 0.2}, "counts": {"mlm": 3}}}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("sharding") / "catalog")


@pytest.fixture
def one_of_one() -> Iterator[None]:
    """A group of this process alone, in which models can be sharded."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    yield
    dist.destroy_process_group()


Made: TypeAlias = Callable[[], tuple["Halves", torch.optim.AdamW]]


class Halves(nn.Module):
    """A layer that is trained, and one that is not."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.used = nn.Linear(width, 5)
        self.unused = nn.Linear(2, 2)


def trained() -> tuple[Halves, torch.optim.AdamW]:
    torch.manual_seed(0)
    model = Halves()
    return model, stepped(model)


def sharded() -> tuple[Halves, torch.optim.AdamW]:
    torch.manual_seed(0)
    model = Halves()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    return model, stepped(model)


def stepped(model: Halves) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    for parameter in model.used.parameters():
        parameter.grad = parameter.detach() / 2
    optimizer.step()
    return optimizer


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and optimiser state, whole."""
    named = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        named |= {f"{name}/{kind}": value for kind, value in optimizer.state[parameter].items()}
    return {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in named.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.usefixtures("one_of_one")
def test_a_checkpoint_of_shares_holds_safetensors_and_json_only(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 500, *sharded(), STATE)
    assert {file.name for file in path.iterdir()} == {"shard-00001-model-00001-of-00001.safetensors", "state.json"}


@pytest.mark.usefixtures("one_of_one")
@pytest.mark.parametrize("written", [trained, sharded])
@pytest.mark.parametrize("read", [trained, sharded])
def test_shares_and_whole_weights_are_read_by_either(written: Made, read: Made, tmp_path: Path) -> None:
    model, optimizer = written()
    path = save_checkpoint(tmp_path, 3, model, optimizer, STATE)
    again, fresh = read()
    for parameter in again.parameters():
        parameter.data.zero_()
    fresh.state.clear()
    assert load_checkpoint(path, again, fresh) == {"step": 3, **STATE}
    assert is_sharded(again) == (read is sharded)
    assert_same(everything(again, fresh), everything(model, optimizer))


def write_parts(folder: Path, tensors: dict[str, Tensor], count: int) -> None:
    """The files of so many processes, in torch's format: equal shares of rows, the last ones smaller, or empty."""
    for rank in range(count):
        own, offsets = {}, {}
        for name, tensor in tensors.items():
            if tensor.ndim:
                each = -(-len(tensor) // count)
                own[name] = tensor[rank * each : (rank + 1) * each].contiguous()
                offsets[name] = {"saved_offsets": [min(rank * each, len(tensor)), *[0] * (tensor.ndim - 1)]}
            elif rank == 0:
                own[name], offsets[name] = tensor, {"saved_offsets": []}
        told = {"DCP_SHARDING_INFO": json.dumps(offsets), "DCP_VERSION": "1.0", "format": "pt"}
        save_file(own, folder / f"shard-{rank + 1:05d}-model-00001-of-00001.safetensors", told)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_shares_of_any_number_are_put_together(count: int, tmp_path: Path) -> None:
    model, optimizer = trained()
    expected = {name: value.clone() for name, value in everything(model, optimizer).items()}
    write_parts(tmp_path, expected, count)
    for parameter in model.parameters():
        parameter.data.zero_()
    optimizer.state.clear()
    read_shares(tmp_path, model, optimizer)
    assert_same(everything(model, optimizer), expected)
    assert not optimizer.state[model.unused.weight]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A checkpoint of three processes."""
    path = tmp_path / "step-00000003"
    path.mkdir()
    write_parts(path, everything(*trained()), 3)
    (path / "state.json").write_text(json.dumps({"step": 3, "shards": 3, **STATE}))
    return path


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_share_is_one_sentence(number: int, parts: Path) -> None:
    (parts / f"shard-{number:05d}-model-00001-of-00001.safetensors").unlink()
    with pytest.raises(
        ModelError, match=r"step-00000003 cannot be read \(it is of 3 shares, and 2 are there\); remove"
    ):
        load_checkpoint(parts, *trained())


@pytest.mark.parametrize("content", [b"", b"half of it", None])
def test_a_damaged_share_is_one_sentence(content: bytes | None, parts: Path) -> None:
    file = parts / "shard-00002-model-00001-of-00001.safetensors"
    file.write_bytes(file.read_bytes()[:-4] if content is None else content)
    with pytest.raises(ModelError, match=r"step-00000003 cannot be read \(.*\); remove it to go on") as caught:
        load_checkpoint(parts, *trained())
    assert "Traceback" not in str(caught.value)


def test_shares_of_another_architecture_are_one_sentence(parts: Path) -> None:
    for other in (Halves(width=4), nn.Linear(3, 5)):
        with pytest.raises(ModelError, match="cannot be read"):
            load_checkpoint(parts, other, torch.optim.AdamW(other.parameters()))


def test_one_process_holds_all_whatever_the_setting(catalog: Catalog, tmp_path: Path) -> None:
    for sharding in ("none", "full"):
        train(catalog, tmp_path / sharding, f"training.sharding={sharding}")
    assert weights(tmp_path / "full") == weights(tmp_path / "none")


@pytest.mark.usefixtures("one_of_one")
def test_a_sharded_model_is_made_whole(catalog: Catalog) -> None:
    config = tiny_config()
    model = tiny_model(tiny_processor(catalog, config), config)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    whole = whole_model(model)
    assert type(whole) is ItemForPreTraining
    assert_same(dict(whole.state_dict()), expected)


def test_a_torch_without_shares_is_one_sentence(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.training.sharding.is_torch_version", lambda *_: False)
    for asked in (lambda: sharding_accelerator("no", 2), lambda: load_checkpoint(parts, *trained())):
        with pytest.raises(ConfigError, match=r"weights in shares take torch 2\.9 or later, and this is 2\."):
            asked()


# Shares of 22 and 11 pairs are uneven; of 4 pairs each of four processes has one, without a photo or a title now and
# then, or a mismatch: where a process has nothing to ask of a block, it has to meet the others there all the same.
SHARED = ("training.batch_size=22", "training.steps=4", "training.validate_every=3", "model.num_hidden_layers=2")
RUNS = {
    "in parts": ("training.accumulation=2", "model.norm_position=post"),
    "dropped": ("objectives.patch_masking=drop", "model.background=drop", "training.activation_checkpointing=true"),
    "agreement": ("objectives.weights.agreement=1", "model.patch_embedding=convolutional", "whitening.power=0.75"),
    "few": (
        "objectives.itm_input=whole",
        "model.patch_embedding=convolutional",
        "training.accumulation=5",
        "training.batch_size=20",
    ),
    "long": ("training.steps=8",),
}
FULL = "training.sharding=full"


@pytest.fixture(scope="module")
def alone(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs, each by one process."""
    folder = tmp_path_factory.mktemp("alone")
    for name, settings in RUNS.items():
        train(catalog, folder / name, *SHARED, *settings)
    return folder


@pytest.fixture(scope="module")
def of_two(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by two that share the weights."""
    folder = tmp_path_factory.mktemp("of two")
    run_gang(2, [job(catalog, folder / name, *settings, FULL) for name, settings in RUNS.items()])
    return folder


def job(catalog: Catalog, run: Path, *settings: str, resume: bool = False) -> dict[str, object]:
    return {"catalog": str(catalog.path), "run": str(run), "overrides": [*SHARED, *settings], "resume": resume}


def unfinished(run: Path, copy: Path) -> Path:
    """A copy of a run of eight steps, as it was when it had made seven."""
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "model")
    shutil.rmtree(copy / "checkpoints" / "step-00000008")
    assert latest_checkpoint(copy / "checkpoints") == copy / "checkpoints" / "step-00000006"
    return copy


@pytest.mark.slow
def test_two_processes_with_shares_train_as_one_does(of_two: Path, alone: Path) -> None:
    for name in RUNS:
        compare(of_two / name, alone / name)
        told, expected = (provenance(folder / name / "model") for folder in (of_two, alone))
        assert told["parameters"] == expected["parameters"]
        assert told.get("whitened") == expected.get("whitened")
    assert len(list((of_two / "long" / "checkpoints" / "step-00000006").glob("shard-*.safetensors"))) == 2


@pytest.mark.slow
def test_one_process_goes_on_from_the_shares_of_two(
    of_two: Path, alone: Path, catalog: Catalog, tmp_path: Path
) -> None:
    run = unfinished(of_two / "long", tmp_path / "run")
    train(catalog, run, *SHARED, *RUNS["long"], resume=True)
    compare(run, alone / "long")


@pytest.mark.slow
def test_four_processes_train_as_one_does_and_go_on_from_the_shares_of_two(
    of_two: Path, alone: Path, catalog: Catalog, tmp_path: Path
) -> None:
    jobs = [job(catalog, tmp_path / name, *settings, FULL) for name, settings in RUNS.items() if name != "long"]
    long = RUNS["long"]
    shares = unfinished(of_two / "long", tmp_path / "from shares")
    whole = unfinished(alone / "long", tmp_path / "from whole")
    copies = unfinished(of_two / "long", tmp_path / "no more shares")
    jobs += [job(catalog, shares, *long, FULL, resume=True), job(catalog, whole, *long, FULL, resume=True)]
    jobs += [job(catalog, copies, *long, resume=True)]
    run_gang(4, jobs)
    for run in (shares, whole, copies):
        compare(run, alone / "long")
    for name in RUNS.keys() - {"long"}:
        compare(tmp_path / name, alone / name)


@pytest.mark.slow
def test_a_process_is_killed_once_and_the_job_ends_as_if_it_had_not(tmp_path: Path) -> None:
    settings = ("training.batch_size=11", "training.steps=30", "training.checkpoint_every=2", "training.log_every=5")
    catalog, run, file = tiny_catalog(tmp_path / "catalog"), tmp_path / "run", tmp_path / "config.yaml"
    tiny_config(*settings, FULL).save(file)
    command = [sys.executable, "-m", "item_embed.cli.torchrun", "--nproc-per-node", "2", "--max-restarts", "1"]
    asked = ["pretrain", str(catalog.path), "--out", str(run), "--config", str(file)]
    with subprocess.Popen(
        [*command, *asked], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as gang:
        while latest_checkpoint(run / "checkpoints") is None:
            assert gang.poll() is None
            time.sleep(0.02)
        [victim] = [child for child in psutil.Process(gang.pid).children() if child.environ().get("RANK") == "1"]
        victim.send_signal(signal.SIGKILL)
        said, told = gang.communicate(timeout=300)
    assert gang.returncode == 0, told
    assert "Traceback" not in told
    assert said.count("330 samples of 32 rows in 30 steps") == 1
    train(catalog, tmp_path / "alone", *settings)
    compare(run, tmp_path / "alone")
