"""Checkpoints: weights and optimiser state as safetensors, the rest as JSON; written aside, then renamed.

    RUN/checkpoints/step-00000500/{model.safetensors, optimizer.safetensors, state.json}

Where processes hold shares of the weights, each writes its own, under the same names of tensors, and `state.json` tells
how many files there are:

    RUN/checkpoints/step-00000500/{shard-00001-….safetensors, shard-00002-….safetensors, …, state.json}

A folder of that name is whole, whenever the process died. Either goes on, on any number of processes.
"""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from item_embed.errors import LostProcessError, ModelError
from item_embed.files import whole_folder
from item_embed.training.distributed import ALONE, Processes
from item_embed.training.sharding import is_sharded, read_shares, write_shares

_KEPT = 2
_STATE = "state.json"
_SHARDS = "shards"  # in it: how many files of shares there are; nothing where there are none


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    processes: Processes = ALONE,
) -> Path:
    """Write the checkpoint of a step and drop all but the newest two.

    Where the model is sharded, all processes call this together; else one.

    Args:
        folder: `RUN/checkpoints`.
        step: optimiser steps done.
        model: its parameters and buffers are saved.
        optimizer: its state per parameter is saved under the parameter's name.
        state: anything JSON can hold exactly.
        processes: those that hold the shares.
    """
    target = folder / f"step-{step:08d}"
    told = {"step": step, **state}
    if is_sharded(model):
        _save_shares(target, model, optimizer, told, processes)
    else:
        with whole_folder(target, replace=True) as aside:
            save_file(_contiguous(dict(model.state_dict())), aside / "model.safetensors")
            save_file(_contiguous(_optimizer_tensors(model, optimizer)), aside / "optimizer.safetensors")
            (aside / _STATE).write_text(json.dumps(told), encoding="utf8")
    for old in _checkpoints(folder)[:-_KEPT] if processes.leads else ():
        shutil.rmtree(old)
    return target


def _save_shares(
    target: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any], processes: Processes
) -> None:
    """One process makes the folder, all write into it, and it is renamed when all have written."""
    with whole_folder(target, replace=True) if processes.leads else nullcontext(target) as aside:
        shared = Path(processes.told(str(aside)))
        try:
            write_shares(shared, model, optimizer)
        except OSError as error:
            if processes.leads:
                raise  # it knows what to say of it, whoever could not write
            raise LostProcessError(f"the checkpoint {target} could not be written; go on with --resume.") from error
        own = len(list(shared.glob(f"shard-{processes.rank + 1:05d}-*")))  # those of others may show late
        files = processes.totals({_SHARDS: own})
        if processes.leads:
            (aside / _STATE).write_text(json.dumps(state | files), encoding="utf8")


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint, or None."""
    return next(reversed(_checkpoints(folder)), None)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put a checkpoint's weights and optimiser state in place.

    Returns:
        The `state` that was saved, with `step`.

    Raises:
        ModelError: when a file is missing or damaged, or belongs to another architecture.
    """
    try:
        state: dict[str, Any] = json.loads((path / _STATE).read_text(encoding="utf8"))
        if _SHARDS in state or is_sharded(model):
            _check_shares(path, state.pop(_SHARDS, 0))
            read_shares(path, model, optimizer)
        else:
            _load_whole(path, model, optimizer)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"the checkpoint {path} cannot be read ({reason}); remove it to go on from the one before."
        ) from None
    return state


def _load_whole(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model.load_state_dict(load_file(path / "model.safetensors"))
    tensors = load_file(path / "optimizer.safetensors")
    for name, parameter in model.named_parameters():
        entries = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        # The fused optimiser keeps even its step count beside the parameter.
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in entries.items()}


def _check_shares(path: Path, count: int) -> None:
    """A file that is missing would leave weights as they are, and nobody would know."""
    found = len(list(path.glob("shard-*.safetensors")))
    if found != count:
        raise ValueError(f"it is of {count} shares, and {found} are there")


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())
