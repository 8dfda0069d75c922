"""How fast a pre-training step is, beside a ViLT of the same size from `transformers` on the same rows.

    OMP_NUM_THREADS=1 python benchmarks/training.py                    # 6 and 12 layers of 384, a drawn marketplace
    OMP_NUM_THREADS=1 python benchmarks/training.py --catalog catalog  # a catalogue made by `item prepare`

A step is a forward pass, its backward pass, the clipping of the gradient and AdamW (fused), without dropout, on photos
of 224 x 224 pixels in patches of 16 and on titles in a vocabulary of the catalogue's own. Batches are made before the
clock starts, so that decoding is not in; what the loader makes is printed beside. On one thread of a CPU
the clock is the process's own, so that other work on the machine does not count. The contestants take turns within
each round, each with the same rows, so that a busy machine slows all alike. Every round has rows of its own, as every
step of a run has: kernels are made anew for shapes that were not there before. Medians over the rounds are printed,
with their quartiles.

ViLT (arXiv 2102.03334) learns two tasks, MLM and ITM, from the rows, masked tokens and mismatched photos that we learn
five from. What favours it here: both tasks share one forward pass, where `transformers` has a model for each; its
photos come scaled and of one size, where its own processor keeps the shape of a photo and pads to the largest.

- `ViLT, as shipped`: fp32, titles padded to its 40 positions as in the guide of transformers (`padding="max_length"`),
  a pixel mask, vocabulary scores of all title positions.
- `ViLT, at its best`: in bf16 where the processor has it, titles padded to the longest, photos embedded without the
  pixel mask, attention by torch's fused kernels where those are faster, vocabulary scores of the masked positions only;
  with its layers compiled by torch.compile, and without.
- `ours`, all five tasks: `padded` is the same encoder without the packing of sequences (model/packing.py).

GFLOP count matrix products of real tokens only, forward and backward: they tell whether a gain is work that is
left out or work that is done faster.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from models import VILT_TITLE, Contestant, Ours, Vilt, leaving_out, wait
from tokenizers import Tokenizer

from item_embed.catalog.drawing.marketplace import draw_marketplace
from item_embed.catalog.preparing import prepare
from item_embed.catalog.store import Catalog
from item_embed.config import ModelSettings, RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.precision import choose_precision
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.objectives.batch import PretrainingBatch
from item_embed.training.batches import PretrainingData
from item_embed.training.optimiser import keep_few_kernels

PATCHES, BACKGROUND = "objectives.patch_masking=drop", "model.background=drop"
SWITCHES = {"keep": [], "patch_masking=drop": [PATCHES], "background=drop": [BACKGROUND], "both": [PATCHES, BACKGROUND]}
_WARM_UP = 3  # steps of each contestant before the first round
_LOADED = 512  # photos that the loader is timed on, at most


@dataclass(frozen=True)
class Stage:
    """The rows that all contestants train on.

    Attributes:
        catalog: they are its training rows.
        tokenizer: trained on their titles.
        batch: products of a step.
        count: steps that are made, from the first.
        device: where the contestants train.
    """

    catalog: Catalog
    tokenizer: Tokenizer
    batch: int
    count: int
    device: torch.device

    @classmethod
    def build(cls, catalog: Catalog, batch: int, count: int, device: torch.device) -> "Stage":
        """Train the vocabulary."""
        titles = (title for row in catalog.rows("train") if (title := catalog.titles[row]))
        return cls(catalog, train_tokenizer(titles, ModelSettings().vocab_size), batch, count, device)

    def config(self, size: str, overrides: Sequence[str] = ()) -> RunConfig:
        """A shipped configuration as it is timed here.

        The learning rate is low, since no step warms up. No photo is kept, so that no contestant's are read faster.
        """
        timed = ["model.dropout=0", "training.accumulation=1", "training.learning_rate=1e-4", "training.warmup_steps=0"]
        timed += [f"training.batch_size={self.batch}", "training.pixel_cache_mb=0"]
        return RunConfig.load(size, [*timed, *overrides])

    def data(self, config: RunConfig) -> PretrainingData:
        """The batches of a run, as its loader makes them."""
        architecture = ItemConfig.from_settings(config.model, config.objectives, self.vocab_size)
        processor = ItemProcessor.for_config(self.tokenizer, architecture)
        return PretrainingData(self.catalog, self.catalog.rows("train"), processor, config)

    def batches(self, config: RunConfig) -> Iterator[PretrainingBatch]:
        """Those of the steps that are made, one after the other."""
        data = self.data(config)
        return (data[number][0] for number in range(self.count))

    def longest_title(self, config: RunConfig) -> int:
        """Tokens of the longest title of those batches."""
        data = self.data(config)
        rows = {int(row) for number in range(self.count) for row in data.samples(number)[0]}
        return int(data.processor.tokenize([self.catalog.titles[row] for row in rows]).ids.shape[1])

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary."""
        return int(self.tokenizer.get_vocab_size())

    def contestant(
        self, name: str, module: Ours | Vilt, config: RunConfig, *, precision: str, compiled: bool = False
    ) -> Contestant:
        """A contestant on the device."""
        module.to(self.device).train()
        if compiled:
            module.compile_blocks()
        return Contestant(name, precision, module, module.optimizer(), self.device, self.data(config), compiled)

    def ours(
        self,
        size: str,
        switches: Sequence[str],
        *,
        name: str,
        precision: str,
        padded: bool = False,
        compiled: bool = False,
    ) -> Contestant:
        """Our model with some switches."""
        config = self.config(size, switches)
        torch.manual_seed(0)
        module = Ours(config, self.vocab_size, padded=padded)
        return self.contestant(name, module, config, precision=precision, compiled=compiled)

    def vilt(
        self,
        size: str,
        settings: Sequence[str],
        *,
        name: str,
        precision: str,
        shipped: bool = False,
        compiled: bool = False,
    ) -> Contestant:
        """A ViLT of the same size; compiled, it has one length for all batches, since each would be compiled anew."""
        config = self.config(size, settings)
        length = VILT_TITLE if shipped else self.longest_title(config) if compiled else None
        torch.manual_seed(0)
        rate = config.training.learning_rate
        module = Vilt(config.model, self.vocab_size, rate, shipped=shipped, title_length=length)
        return self.contestant(name, module, config, precision=precision, compiled=compiled)


def main() -> None:
    """Time all contestants at every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, help="made by `item prepare`; by default a marketplace is drawn")
    parser.add_argument("--products", type=int, default=200, help="of the drawn marketplace, two to four rows each")
    parser.add_argument("--layers", type=int, nargs="+", help="of the encoders; by default 6 and 12")
    parser.add_argument("--batch", type=int, help="products of a step; by default 16, 256 on a GPU")
    parser.add_argument("--rounds", type=int, help="that are timed; by default 8")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="6 layers, batches of 8, 4 rounds")
    arguments = parser.parse_args()
    keep_few_kernels()  # as a run does
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the loader is timed on one core
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    quick = arguments.quick
    batch = arguments.batch or (8 if quick else 16 if device.type == "cpu" else 256)
    rounds = arguments.rounds or (4 if quick else 8)
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(arguments.catalog) if arguments.catalog else draw(Path(folder), arguments.products)
        stage = Stage.build(catalog, batch, _WARM_UP + rounds, device)
        print(describe(stage), flush=True)
        table, fastest = [], 0.0
        for layers in arguments.layers or ([6] if quick else [6, 12]):
            contestants = warmed(line_up(stage, layers), _WARM_UP)
            print(f"{layers} layers: {describe_ceiling(device)}", flush=True)
            race(contestants, range(_WARM_UP, _WARM_UP + rounds))
            table += rows(f"{layers} x {stage.config('small').model.hidden_size}", contestants)
            fastest = max(fastest, *(c.rate for c in contestants))
        print(describe_loader(stage, fastest))
    print(
        "\n| size | contestant | precision | products/s (quartiles) | x ViLT as shipped | x ViLT at its best "
        "| x our keep, fp32, padded | GFLOP per product | GFLOP/s |\n" + "|---" * 9 + "|"
    )
    for row in table:
        print("|", " | ".join(row), "|")


def draw(folder: Path, products: int) -> Catalog:
    """A marketplace with photos of 224 pixels, drawn and prepared."""
    draw_marketplace(folder / "feed", products, image_size=224)
    prepare(folder / "feed" / "feed.csv", folder / "catalog")
    return Catalog(folder / "catalog")


def line_up(stage: Stage, layers: int) -> list[Contestant]:
    """All contestants of one size, which is `small` with other layers."""
    fast = fast_precision(stage.device)
    depth = [f"model.num_hidden_layers={layers}"]
    contestants = [
        stage.vilt("small", depth, name="ViLT, as shipped", precision="fp32", shipped=True),
        stage.vilt("small", depth, name="ViLT, at its best", precision=fast),
        stage.vilt("small", depth, name="ViLT, at its best, compiled", precision=fast, compiled=True),
        stage.ours("small", depth, name="ours, keep, padded", precision="fp32", padded=True),
    ]
    if fast != "fp32":
        contestants.append(stage.ours("small", depth, name="ours, keep, padded", precision=fast, padded=True))
    for name, switches in SWITCHES.items():
        contestants.append(stage.ours("small", [*depth, *switches], name=f"ours, {name}", precision=fast))
    return contestants


def fast_precision(device: torch.device) -> str:
    """What the package chooses where this is the only device."""
    with patch("torch.cuda.is_available", return_value=device.type == "cuda"):
        return choose_precision("auto")


def warmed(contestants: Sequence[Contestant], steps: int) -> list[Contestant]:
    """Those that work here, after so many steps: kernels are chosen, and compiled."""
    working = []
    for contestant in contestants:
        with leaving_out(contestant):
            for number in range(steps):
                contestant.step(contestant.ready(number))
            working.append(contestant)
    return working


def race(contestants: Sequence[Contestant], rounds: Sequence[int]) -> None:
    """Time every contestant once in each round, whose number is that of the step, so that all have the same rows."""
    for number in rounds:
        for contestant in contestants:
            contestant.time(number)


def rows(size: str, contestants: Sequence[Contestant]) -> list[list[str]]:
    """The cells of the table, a list for each contestant."""
    slow = [c for c in contestants if c.precision == "fp32"]
    shipped, padded = (next(c for c in slow if name in c.name) for name in ("shipped", "padded"))
    best = max((c for c in contestants if "best" in c.name), key=lambda c: c.rate)
    found = []
    for c in contestants:
        low, high = c.rates
        ratios = [f"{c.rate / reference.rate:.2f}" for reference in (shipped, best, padded)]
        work = [f"{c.flops / 1e9:.2f}", f"{c.flops * c.rate / 1e9:.1f}"]
        found.append([size, c.name, c.precision, f"{c.rate:.2f} ({low:.2f}-{high:.2f})", *ratios, *work])
    return found


def describe(stage: Stage) -> str:
    """Where and on what is measured, in a few lines."""
    config = stage.config("small", SWITCHES["background=drop"])
    shares = [
        ((~batch.token_padding).sum(dim=1).float().mean(), batch.background.float().mean())
        for batch in stage.batches(config)
    ]
    tokens, background = (statistics.mean(map(float, share)) for share in zip(*shares, strict=True))
    height, width = config.model.image_size
    threads = f", threads: {torch.get_num_threads()}" if stage.device.type == "cpu" else ""
    return (
        f"{processor_name(stage.device)}; torch {torch.__version__}, transformers {transformers.__version__}{threads}\n"
        f"batch {stage.batch}, photos of {height} x {width} pixels, {background:.0%} of their patches background; "
        f"titles of {tokens:.1f} tokens with [CLS] and [SEP], vocabulary of {stage.vocab_size:,}; decoding is not in"
    )


def ceiling(device: torch.device, dtype: torch.dtype, size: int, rounds: int = 10) -> float:
    """Operations per second of the product of two square matrices: the median, after as many to warm up."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(2 * rounds):
        wait(device)
        began = time.perf_counter()
        torch.matmul(a, b)
        wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[rounds:])


def describe_ceiling(device: torch.device) -> str:
    """The most that matrix products can be."""
    size = 2048 if device.type == "cpu" else 8192
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    names = dict.fromkeys(("fp32", fast_precision(device)))
    most = [f"{ceiling(device, types[name], size) / 1e9:,.0f} in {name}" for name in names]
    return f"products of {size} x {size} matrices: {' and '.join(most)} GFLOP/s"


def processor_name(device: torch.device) -> str:
    """Of the GPU, or of the CPU as Linux knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def describe_loader(stage: Stage, fastest: float) -> str:
    """Whether one core of the loader keeps up with the fastest step: decoding and all, nothing read before."""
    config = stage.config("small", [*SWITCHES["both"], "training.batch_size=64"])
    data = replace(stage, catalog=Catalog(stage.catalog.path)).data(config)
    steps = max(1, min(_LOADED, len(data.rows)) // 64)
    began = time.process_time()
    for number in range(steps):
        data[number]
    rate = 64 * steps / (time.process_time() - began)
    return f"one core of the loader, decoding in: {rate:,.0f} products/s; the fastest step: {fastest:,.1f} products/s"


if __name__ == "__main__":
    main()
