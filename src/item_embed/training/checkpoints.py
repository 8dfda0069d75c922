"""Checkpoints: weights and optimiser state as safetensors, the rest as JSON; written aside, then renamed.

    RUN/checkpoints/step-00000500/{model.safetensors, optimizer.safetensors, state.json}

A folder of that name is whole, whenever the process died.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from item_embed.errors import ModelError
from item_embed.files import whole_folder

_KEPT = 2


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> Path:
    """Write the checkpoint of a step and drop all but the newest two.

    Args:
        folder: `RUN/checkpoints`.
        step: optimiser steps done.
        model: its parameters and buffers are saved.
        optimizer: its state per parameter is saved under the parameter's name.
        state: anything JSON can hold exactly.
    """
    target = folder / f"step-{step:08d}"
    with whole_folder(target, replace=True) as aside:
        save_file(_contiguous(dict(model.state_dict())), aside / "model.safetensors")
        save_file(_contiguous(_optimizer_tensors(model, optimizer)), aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": step, **state}), encoding="utf8")
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return target


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
        model.load_state_dict(load_file(path / "model.safetensors"))
        tensors = load_file(path / "optimizer.safetensors")
        state = json.loads((path / "state.json").read_text(encoding="utf8"))
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"the checkpoint {path} cannot be read ({reason}); remove it to go on from the one before."
        ) from None
    for name, parameter in model.named_parameters():
        entries = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        # The fused optimiser keeps even its step count beside the parameter.
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in entries.items()}
    return dict(state)


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
