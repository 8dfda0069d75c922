"""Weights, gradients and the optimiser's state in shares, one for each of the processes that train together (FSDP2).

accelerate applies torch's `fully_shard` to each block of the encoder and to what is around them. A block's weights are
brought together when it runs, forwards and backwards, and let go of behind it; its gradients are summed into shares.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.parallelism_config import ParallelismConfig
from accelerate.state import PartialState
from accelerate.utils import DistributedType, is_torch_version
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor

from item_embed.errors import ConfigError
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemBlock
from item_embed.model.heads import ItemForPreTraining

_SINCE = "2.9"  # torch writes and reads shares as safetensors

Optimizer = torch.optim.Optimizer


def sharding_accelerator(precision: str, count: int) -> Accelerator:
    """An accelerator that shards what it prepares among so many processes.

    Weights are brought together in fp32 and rounded by autocast, as where they are whole.

    Args:
        precision: as accelerate names it.
        count: of processes that train together.

    Raises:
        ConfigError: when torch is too old.
    """
    _check_torch()
    state, mesh = PartialState(), None
    if state.device.type == "cpu":  # torch shards here, too: accelerate has to be told, and where
        state.distributed_type = DistributedType.MULTI_GPU
        mesh = ParallelismConfig(dp_shard_size=count)
        warnings.filterwarnings("ignore", "Slicing a flattened dim from root mesh")  # which accelerate does
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=[ItemBlock.__name__],
        mixed_precision_policy=MixedPrecisionPolicy(),
        cpu_ram_efficient_loading=False,
    )
    return Accelerator(mixed_precision=precision, fsdp_plugin=plugin, parallelism_config=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Whether this process holds only its share of the weights."""
    return isinstance(next(model.parameters()), DTensor)


def whole_model(model: ItemForPreTraining) -> ItemForPreTraining:
    """A model with all weights, in the first process; in the others, which have to call it too, the shares.

    Args:
        model: a sharded one.
    """
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if not weights:
        return model
    assert isinstance(model.config, ItemConfig)
    whole = ItemForPreTraining(model.config)
    whole.load_state_dict(weights)
    nn.Module.to(whole, next(model.parameters()).device)  # transformers' own is untyped
    return whole


def write_shares(folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
    """Write this process's share of weights and optimiser to a file of its own; all processes call it together.

    Args:
        folder: the same for all.
        model: a sharded one.
        optimizer: its.

    Raises:
        OSError: of the process that could not write.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter  # not in the oldest torch

    tensors: dict[str, Any] = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        tensors |= {f"{name}/{key}": value for key, value in optimizer.state[parameter].items()}
    with _own_errors():
        save(tensors, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


def read_shares(folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
    """Read what is this process's of weights and optimiser, whether one process wrote them or several their shares.

    Args:
        folder: of safetensors files.
        model: sharded or whole; its weights are replaced.
        optimizer: its; its state is replaced.

    Raises:
        ConfigError: when torch is too old.
        OSError, SafetensorError, ValueError, RuntimeError: when a file cannot be read or belongs to another model.
    """
    _check_torch()
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    reader = HuggingFaceStorageReader(str(folder))
    parameters = dict(model.named_parameters())
    states: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}
    for key, saved in reader.read_metadata().state_dict_metadata.items():
        name, slash, kind = key.rpartition("/")
        if slash and name in parameters:
            assert isinstance(saved, TensorStorageMetadata)
            like = parameters[name]
            # The step count of a parameter is one number, and in no share.
            number = saved.size != like.shape
            states[name][kind] = torch.zeros(saved.size, device=like.device) if number else torch.zeros_like(like)
    tensors: dict[str, Any] = dict(model.state_dict())
    tensors |= {f"{name}/{kind}": value for name, state in states.items() for kind, value in state.items()}
    with _own_errors(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # each process reads for itself
        load(tensors, storage_reader=reader, no_dist=True)
    for name, parameter in parameters.items():
        optimizer.state[parameter] = states[name]


def _check_torch() -> None:
    if not is_torch_version(">=", _SINCE):
        raise ConfigError(
            f"weights in shares take torch {_SINCE} or later, and this is {torch.__version__}; install a newer one, or "
            "train from the start with training.sharding=none."
        )


@contextmanager
def _own_errors() -> Iterator[None]:
    """Let the first error of a process pass for what torch makes of all: no Exception, and its text a traceback."""
    try:
        yield
    except CheckpointException as error:
        raise next(iter(error.failures.values()))[0] from None
