"""Which numbers a processor multiplies fast."""

from pathlib import Path
from typing import Literal

import torch

from item_embed.config import Precision


def choose_precision(wanted: Precision, device: torch.device | None = None) -> Literal["fp32", "bf16"]:
    """Resolve `auto`: bf16 on processors that multiply it in hardware, else fp32.

    Args:
        wanted: as it was asked for.
        device: where is computed; None: on a GPU where there is one.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _cpu_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:  # no Linux
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
