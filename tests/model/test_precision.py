"""Which precision is fast where."""

from pathlib import Path

import pytest
import torch

from item_embed.model import precision
from item_embed.model.precision import choose_precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512_bf16 amx_tile", "bf16"), ("amx_bf16", "bf16"), ("fpu avx2", "fp32"), (None, "fp32")],
)
def test_precision_follows_the_processor_unless_it_is_given(
    flags: str | None, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(precision, "Path", lambda _: file)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_precision("auto") == expected
    assert choose_precision("fp32") == "fp32"
    assert choose_precision("bf16") == "bf16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # beside a GPU a CPU is still a CPU
    assert choose_precision("auto", torch.device("cpu")) == expected
