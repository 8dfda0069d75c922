"""What it would cost to train on millions of listings and to embed them, by formula.

    python benchmarks/cost.py --catalog catalog --config base
    python benchmarks/cost.py --catalog catalog --config paper --listings 10000000 --epochs 5 --gpus 8 --tflops 989 \
        --utilisation 0.4 --decode-ms 3.5 --price-per-gpu-hour 3

Computed: the floating-point operations of a pair in training and in embedding, by the formula of
src/item_embed/evaluation/ablation/cost.py, as the mean over pairs of a catalogue as a run draws them, so with real
lengths of titles and real background; and from them, by multiplication, everything else in the table. The vocabulary is
taken to be as large as the configuration allows, as it is for so many titles; titles are cut into the pieces that the
catalogue's own give.

Assumed, and to be replaced by your own: the listings and how often each is seen; the GPUs, what they could do at most,
and the share of it that is reached (`benchmarks/gpu.py` measures that share where there is a GPU); the time of one core
for a pair, which is its photo above all (what this machine took for the catalogue's is printed beside); the price. The
work is taken to divide evenly: nothing is added for what GPUs tell each other (docs/scaling.md does), for validation,
checkpoints or start-up.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from item_embed.catalog.store import Catalog
from item_embed.config import ModelSettings, RunConfig
from item_embed.evaluation.ablation.cost import Lengths, encoder_flops, training_flops
from item_embed.model.configuration import ItemConfig
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.training.batches import PretrainingData
from training import SWITCHES

_HOUR = 3600


@dataclass(frozen=True)
class Assumed:
    """What the formula does not know.

    Attributes:
        listings: trained on, and embedded once.
        epochs: how often training sees each.
        gpus: that share the work.
        peak: operations per second that one of them could do at most.
        utilisation: share of the peak that matrix products of real tokens reach.
        decoding: seconds of one core to prepare a pair.
        price: of a GPU for an hour.
    """

    listings: int
    epochs: float
    gpus: int
    peak: float
    utilisation: float
    decoding: float
    price: float


@dataclass(frozen=True)
class Work:
    """One pair, the mean over those of a catalogue.

    Attributes:
        title: positions of its title.
        patches: of its photo that are encoded in training.
        whole: of its photo that are encoded in embedding, where nothing is masked.
        training: operations of a training step.
        embedding: operations of embedding it.
        prepared: seconds of one core of this machine to prepare it.
    """

    title: float
    patches: float
    whole: float
    training: float
    embedding: float
    prepared: float

    @classmethod
    def of(cls, catalog: Catalog, tokenizer: Tokenizer, config: RunConfig, pairs: int) -> "Work":
        """That of the first pairs that a run of a configuration would draw from a catalogue."""
        vocab_size = config.model.vocab_size
        architecture = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        processor = ItemProcessor.for_config(tokenizer, architecture)
        one_part = {"batch_size": pairs, "accumulation": 1, "workers": 0, "pixel_cache_mb": 0}
        drawn = config.model_copy(update={"training": config.training.model_copy(update=one_part)})
        began = time.process_time()
        [batch] = PretrainingData(catalog, catalog.rows("train"), processor, drawn)[0]
        prepared = (time.process_time() - began) / pairs
        lengths = Lengths.of(batch, config)
        return cls(
            title=float(lengths.title.mean()),
            patches=float(lengths.photo.mean()),
            whole=float(lengths.whole.mean()),
            training=training_flops(config, vocab_size, lengths),
            embedding=float(encoder_flops(config.model, lengths.title, lengths.whole).mean()),
            prepared=prepared,
        )


@dataclass(frozen=True)
class Cost:
    """Of training, or of embedding, so many pairs.

    Attributes:
        flops: floating-point operations, all together.
        hours: on the GPUs.
        cores: that have to prepare pairs meanwhile, so that no GPU waits.
        price: of the GPUs.
    """

    flops: float
    hours: float
    cores: float
    price: float

    @classmethod
    def of(cls, pairs: float, flops: float, assumed: Assumed) -> "Cost":
        """Of so many pairs of so many operations each."""
        seconds = pairs * flops / (assumed.gpus * assumed.peak * assumed.utilisation)
        return cls(
            flops=pairs * flops,
            hours=seconds / _HOUR,
            cores=pairs * assumed.decoding / seconds,
            price=assumed.gpus * assumed.price * seconds / _HOUR,
        )


def main() -> None:
    """Count and print the table."""
    arguments = _parsed()
    assumed = Assumed(
        listings=arguments.listings,
        epochs=arguments.epochs,
        gpus=arguments.gpus,
        peak=arguments.tflops * 1e12,
        utilisation=arguments.utilisation,
        decoding=arguments.decode_ms / 1000,
        price=arguments.price_per_gpu_hour,
    )
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # preparing is timed on one core
    catalog = Catalog(arguments.catalog)
    configs = {
        name: RunConfig.load(arguments.config, [*arguments.settings, *switches]) for name, switches in SWITCHES.items()
    }
    model = configs["keep"].model
    titles = (title for title in catalog.titles.at(catalog.rows("train")) if title)
    tokenizer = train_tokenizer(titles, model.vocab_size)
    works = {name: Work.of(catalog, tokenizer, config, arguments.pairs) for name, config in configs.items()}
    print("\n".join([*described(model, works, catalog, arguments.pairs), told(assumed), "", *table(works, assumed)]))
    numbers = assumed.listings * model.hidden_size
    print(f"\nvectors: {_short(numbers * 4 / 1e9)} GB in float32, {_short(numbers * 2 / 1e9)} GB in half precision")


def described(model: ModelSettings, works: dict[str, Work], catalog: Catalog, pairs: int) -> Iterator[str]:
    """What was counted, and on what."""
    keep = works["keep"]
    height, width = model.image_size
    empty = 1 - works["background=drop"].whole / keep.whole if keep.whole else 0.0
    yield (
        f"computed: {model.num_hidden_layers} x {model.hidden_size}, photos of {height} x {width} in {model.patches} "
        f"patches, {model.vocab_size:,} tokens; {pairs:,} pairs of {catalog.path.name}: {keep.title:.1f} positions of "
        f"a title, {empty:.0%} of the patches background"
    )
    took = np.mean([work.prepared for work in works.values()])
    yield f"timed here: {1000 * took:.1f} ms of one core to prepare a pair"


def told(assumed: Assumed) -> str:
    """What was not."""
    return (
        f"assumed: {assumed.listings:,} listings, seen {assumed.epochs:g} times and embedded once; {assumed.gpus} GPUs "
        f"of {assumed.peak / 1e12:g} TFLOP/s at {assumed.utilisation:.0%}, {assumed.price:g} an hour each; "
        f"{1000 * assumed.decoding:g} ms of one core to prepare a pair"
    )


def table(works: dict[str, Work], assumed: Assumed) -> Iterator[str]:
    """Two rows for each set of switches: training, and embedding every listing once."""
    yield "| switches | work | patches encoded | GFLOP a pair | EFLOP | hours | cores | price |"
    yield "|---" * 8 + "|"
    for name, work in works.items():
        trained = Cost.of(assumed.listings * assumed.epochs, work.training, assumed)
        embedded = Cost.of(assumed.listings, work.embedding, assumed)
        yield _row([name, "training"], work.patches, work.training, trained)
        yield _row(["", "embedding"], work.whole, work.embedding, embedded)


def _row(names: list[str], patches: float, flops: float, cost: Cost) -> str:
    numbers = (patches, flops / 1e9, cost.flops / 1e18, cost.hours, cost.cores, cost.price)
    return f"| {' | '.join([*names, *map(_short, numbers)])} |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, required=True, help="made by `item prepare`")
    parser.add_argument("--config", default="base", help="tiny, search, small, base, paper, or a YAML file")
    parser.add_argument("--pairs", type=int, default=1024, help="whose lengths stand for all")
    parser.add_argument("--listings", type=int, default=10_000_000)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--tflops", type=float, default=989, help="peak of a GPU; by default an H100's, dense bf16")
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of the peak that is reached")
    parser.add_argument("--decode-ms", type=float, default=3.5, help="of one core, to prepare a pair")
    parser.add_argument("--price-per-gpu-hour", type=float, default=3)
    parser.add_argument("settings", nargs="*", help="of the configuration, as model.max_title_tokens=64")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        if isinstance(value, int | float) and value <= 0:
            parser.error(f"--{name.replace('_', '-')} is {value:g}; give a number above 0")
    if arguments.utilisation > 1:
        parser.error(f"--utilisation is {arguments.utilisation:g}; give a share, at most 1")
    return arguments


if __name__ == "__main__":
    main()
