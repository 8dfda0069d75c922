"""Embedding on a CPU: ours in int8 without empty background, beside CLIP ViT-B/16 of `transformers`.

    OMP_NUM_THREADS=1 python benchmarks/clip.py --catalog fashion

Both read photos of 224 pixels in patches of 16 by 12 layers of 768, and titles of ten words, drawn from those of the
catalogue. Weights are random, which costs what trained ones cost. All embed the same products in turns, one thread;
rates are medians over the rounds with their quartiles, by the processor's time and by the clock. Decoding is not in.

What favours CLIP: its photos come scaled and normalised and its titles as tokens, where ours are scaled, searched for
background and cut into tokens within its time; its titles have the tokens of our vocabulary, trained on the catalogue,
fewer than its own would make; it embeds as many products at once as is fastest for it.

- `CLIP, as shipped`: torch, float32, titles padded to 77 tokens as its processor's `padding="max_length"` does.
- `CLIP, at its best`: each tower an ONNX graph (clip_graph.py), quantised as ours is, titles padded to the longest.
- `ours`: one vector of photo and title. `keep` encodes all patches, `drop` no empty ones; grainy photos are the same
  with noise, so that no patch is empty; with late fusion a vector takes three passes.

GFLOP count the matrix products of what is computed, padding to the longest left aside.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
import transformers
from clip_graph import photo_tower, title_tower
from numpy.typing import NDArray
from onnx import ModelProto
from PIL import Image
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

from item_embed import Catalog, Embedder
from item_embed.catalog.photos.images import decode
from item_embed.config import ModelSettings, RunConfig
from item_embed.embedding.export import export_model
from item_embed.embedding.export.quantising import quantise
from item_embed.embedding.loss import spread_rows
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import CLS, PAD, SEP, train_tokenizer
from item_embed.model.whitening import Fusion, Whitening
from item_embed.model.words import Words
from training import processor_name

WORDS = 10  # of a title
_TITLE = 77  # positions of CLIP's titles
_MEAN, _DEVIATION = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)  # of CLIP's photos
_GRAIN = 16.0  # standard deviation of noise, of 255
_AT_ONCE = (1, 4, 16)  # products that CLIP may embed together


class Took(NamedTuple):
    """Seconds of the processor and by the clock."""

    cpu: float
    clock: float


@dataclass
class Contestant:
    """One way to embed the products.

    Attributes:
        name: in the table.
        embed: embeds all of them, and gives their vectors.
        flops: of the matrix products, for each product.
        took: in each round.
    """

    name: str
    embed: Callable[[], NDArray[np.float32]]
    flops: float
    took: list[Took] = field(default_factory=list)

    def run(self) -> None:
        """Another round."""
        self.took.append(timed(self.embed))

    def rates(self, products: int, by: str) -> NDArray[np.float64]:
        """Products per second: lower quartile, median, upper quartile; by `cpu` or `clock`."""
        found: NDArray[np.float64] = np.percentile([products / getattr(took, by) for took in self.took], [25, 50, 75])
        return found


@dataclass(frozen=True)
class Stage:
    """The products, as all contestants are shown them.

    Attributes:
        photos: of the model's size.
        titles: of ten words.
        tokenizer: trained on the catalogue's titles.
        model: the size of ours.
    """

    photos: Sequence[Image.Image]
    titles: Sequence[str]
    tokenizer: Tokenizer
    model: ModelSettings

    @classmethod
    def build(cls, catalog: Catalog, products: int, model: ModelSettings) -> "Stage":
        """Photos spread over the catalogue."""
        known = [title for title in catalog.titles if title]
        tokenizer = train_tokenizer(known, model.vocab_size)
        there = np.flatnonzero(catalog.has_photo)
        encoded = [catalog.photo(int(row)) for row in there[spread_rows(len(there), products)]]
        photos = [decode(photo) for photo in encoded if photo]
        processor = ItemProcessor(tokenizer, model.image_size, model.max_title_tokens)
        shown = [processor.pixels(photo).transpose(1, 2, 0) for photo in photos]
        words = [word for title in known for word in title.split()]
        drawn = np.random.default_rng(0).choice(words, (len(photos), WORDS))
        return cls([Image.fromarray(photo) for photo in shown], [" ".join(title) for title in drawn], tokenizer, model)

    def grainy(self) -> "Stage":
        """The same with noise in all photos."""
        noise = np.random.default_rng(0).normal(0, _GRAIN, (len(self.photos), *self.model.image_size, 3))
        noisy = np.clip(np.stack([np.asarray(photo) for photo in self.photos]) + noise, 0, 255).astype(np.uint8)
        return replace(self, photos=[Image.fromarray(photo) for photo in noisy])

    def processor(self, background: str) -> ItemProcessor:
        """Of our models: `keep` or `drop`."""
        side = self.model.patch_size if background == "drop" else None
        return ItemProcessor(self.tokenizer, self.model.image_size, self.model.max_title_tokens, side)

    def tokens(self) -> NDArray[np.int64]:
        """Positions of each title, [CLS] and [SEP] too."""
        return np.asarray((~self.processor("keep").tokenize(self.titles).padding).sum(axis=1))

    def patches(self, background: str) -> NDArray[np.int64]:
        """Patches of each photo that are encoded."""
        processor = self.processor(background)
        empty = processor.background(np.stack([processor.pixels(photo) for photo in self.photos]))
        whole = np.full(len(self.photos), self.model.patches)
        return whole if empty is None else np.asarray((~empty).sum(axis=1))


def main() -> None:
    """Time all contestants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--products", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768, help="in steps of 64, a head each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = size(arguments.layers, arguments.width)
    stage = Stage.build(Catalog(arguments.catalog), arguments.products, model)
    grainy = stage.grainy()
    with tempfile.TemporaryDirectory() as folder:
        contestants = [*clips(stage, Path(folder)), *ours(stage, grainy, Path(folder))]
        for _ in range(arguments.rounds):
            for contestant in contestants:
                contestant.run()
    empty = [1 - shown.patches("drop").mean() / model.patches for shown in (stage, grainy)]
    print(
        f"{processor_name(torch.device('cpu'))}; ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}\n{len(stage.titles)} products, {arguments.rounds} rounds; empty: "
        f"{empty[0]:.0%} of the patches, of grainy photos {empty[1]:.0%}; {stage.tokens().mean():.1f} tokens of a title"
    )
    print("\n".join(table(contestants, len(stage.titles))))


def size(layers: int, width: int) -> ModelSettings:
    """`base` with other layers, or another width."""
    settings = [f"hidden_size={width}", f"intermediate_size={4 * width}", f"num_attention_heads={width // 64}"]
    return RunConfig.load("base", [f"model.{key}" for key in (*settings, f"num_hidden_layers={layers}")]).model


def clips(stage: Stage, folder: Path) -> list[Contestant]:
    """CLIP as it is shipped, and at its best."""
    clip = clip_like(stage.model)
    shape, (height, width) = (1, 3, 1, 1), stage.model.image_size
    bytes_ = np.stack([np.asarray(photo).transpose(2, 0, 1) for photo in stage.photos])
    assert height == width == bytes_.shape[-1]
    pixels = ((bytes_ / 255 - np.reshape(_MEAN, shape)) / np.reshape(_DEVIATION, shape)).astype(np.float32)
    ids = clip_ids(stage, clip)
    padded = np.pad(ids, ((0, 0), (0, _TITLE - ids.shape[1])), constant_values=clip.config.text_config.eos_token_id)
    photos, titles = (
        session(graph, folder / f"{n}.onnx") for n, graph in enumerate((photo_tower(clip), title_tower(clip)))
    )

    @torch.inference_mode()
    def shipped(rows: slice) -> NDArray[np.float32]:
        inputs = {"pixel_values": torch.from_numpy(pixels[rows]), "input_ids": torch.from_numpy(padded[rows])}
        found = clip(**inputs)
        return torch.cat([found.image_embeds, found.text_embeds], dim=1).numpy()

    def best(rows: slice) -> NDArray[np.float32]:
        (photo,), (title,) = (
            photos.run(None, {"pixel_values": pixels[rows]}),
            titles.run(None, {"input_ids": ids[rows]}),
        )
        return np.concatenate([photo, title], axis=1)

    image, text = clip.config.vision_config, clip.config.text_config
    flops = [
        (blocks_flops(image, stage.model.patches + 1, last) + blocks_flops(text, length, last)).mean()
        + 2 * 3 * image.patch_size**2 * stage.model.patches * image.hidden_size
        for length, last in ((_TITLE, False), (stage.tokens(), True))
    ]
    return [
        Contestant("CLIP, as shipped, fp32", fastest(shipped, len(ids)), float(flops[0])),
        Contestant("CLIP, at its best, int8", fastest(best, len(ids)), float(flops[1])),
    ]


def clip_like(model: ModelSettings) -> Any:
    """CLIP ViT-B/16, or with as many layers and as wide as ours is."""
    torch.manual_seed(0)
    wide, narrow = model.hidden_size, model.hidden_size * 2 // 3  # 768, and 512 of titles
    image = {"hidden_size": wide, "intermediate_size": 4 * wide, "num_attention_heads": max(1, wide // 64)}
    text = {"hidden_size": narrow, "intermediate_size": 4 * narrow, "num_attention_heads": max(1, narrow // 64)}
    depth = {"num_hidden_layers": model.num_hidden_layers}
    photo = {"image_size": model.image_size[0], "patch_size": model.patch_size}
    return CLIPModel(CLIPConfig(text_config=text | depth, vision_config=image | depth | photo)).eval()


def clip_ids(stage: Stage, clip: Any) -> NDArray[np.int64]:
    """Titles as CLIP has them, (B, T): start, the tokens of our vocabulary, end, and the end again as padding."""
    ids = stage.processor("keep").tokenize(stage.titles).ids
    text = clip.config.text_config
    for ours_, theirs in ((CLS, text.bos_token_id), (SEP, text.eos_token_id), (PAD, text.eos_token_id)):
        ids = np.where(ids == ours_, theirs, ids)
    return ids


def session(graph: ModelProto, file: Path) -> Any:
    """ONNX Runtime's, of a graph quantised as ours."""
    quantise(graph, file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def fastest(embed: Callable[[slice], NDArray[np.float32]], products: int) -> Callable[[], NDArray[np.float32]]:
    """Embedding all, so many at once as takes least; each number is tried once, after one to warm up."""

    def all_of(at_once: int) -> NDArray[np.float32]:
        return np.concatenate([embed(slice(start, start + at_once)) for start in range(0, products, at_once)])

    embed(slice(0, 1))
    found = min(_AT_ONCE, key=lambda at_once: timed(lambda: all_of(at_once)).cpu)
    return lambda: all_of(found)


def ours(stage: Stage, grainy: Stage, folder: Path) -> list[Contestant]:
    """Our model by torch and by ONNX Runtime, with empty patches and without."""
    tokens = stage.tokens()
    architecture = ItemConfig.from_settings(
        stage.model, RunConfig.load("base").objectives, stage.tokenizer.get_vocab_size()
    )
    torch.manual_seed(0)
    trained = TorchBackend(ItemModel(architecture), stage.processor("keep"), folder, "random", "cpu")
    fused = TorchBackend(trained.model, trained.processor, folder, "random", "cpu", whitening=late_fusion(stage))
    export_model(trained, folder / "keep", precision="int8")
    export_model(fused, folder / "fused", precision="int8", background="drop")
    shutil.copytree(folder / "keep", folder / "drop")
    stage.processor("drop").save_pretrained(folder / "drop")  # the graph is the same

    def contestant(name: str, embedder: Embedder, shown: Stage, flops: NDArray[np.float64]) -> Contestant:
        return Contestant(name, lambda: embedder.embed(shown.photos, shown.titles), float(flops.mean()))

    def flops(shown: Stage, background: str, last: bool = True) -> NDArray[np.float64]:
        return ours_flops(stage.model, tokens, shown.patches(background), last)

    kept, dropped, joined = (Embedder.from_pretrained(folder / name) for name in ("keep", "drop", "fused"))
    patches = stage.patches("drop")
    passes = (tokens, patches), (np.full_like(tokens, 2), patches), (tokens, np.zeros_like(patches))
    thrice = sum((ours_flops(stage.model, *lengths, last=True) for lengths in passes), np.zeros(1))
    return [
        contestant("ours, keep, fp32 by torch", Embedder(trained), stage, flops(stage, "keep", last=False)),
        contestant("ours, keep, int8", kept, stage, flops(stage, "keep")),
        contestant("ours, drop, int8", dropped, stage, flops(stage, "drop")),
        contestant("ours, drop, int8, grainy photos", dropped, grainy, flops(grainy, "drop")),
        contestant("ours, drop, int8, late fusion", joined, stage, thrice),
    ]


def late_fusion(stage: Stage) -> Whitening:
    """As `search` has it, of numbers that mean nothing."""
    width = stage.model.hidden_size
    frame = torch.eye(3 * width)[:, :160]
    return Whitening(torch.zeros(3, width), torch.eye(width).repeat(3, 1, 1), Fusion(frame, Words.of(stage.titles, 96)))


def ours_flops(
    model: ModelSettings | ItemConfig, tokens: NDArray[np.int64], patches: NDArray[np.int64], last: bool
) -> NDArray[np.float64]:
    """Of one pass of our encoder, for each product."""
    return blocks_flops(model, tokens + patches, last) + 2.0 * 3 * model.patch_size**2 * patches * model.hidden_size


def blocks_flops(config: Any, length: "int | NDArray[np.int64]", last: bool) -> NDArray[np.float64]:
    """Of an encoder's blocks, for sequences of these lengths.

    Args:
        config: has `hidden_size`, `intermediate_size` and `num_hidden_layers`.
        length: positions of each.
        last: whether the last block makes one output alone.
    """
    s = np.asarray(length, np.float64)
    d, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers

    def block(asked: "float | NDArray[np.float64]") -> NDArray[np.float64]:
        each: NDArray[np.float64] = 4 * s * d * d + asked * (4 * d * d + 4 * d * inner + 4 * s * d)
        return each

    return np.asarray((layers - 1) * block(s) + block(1.0 if last else s))


def timed(work: Callable[[], object]) -> Took:
    """What some work takes in this process."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return Took(time.process_time() - cpu, time.perf_counter() - clock)


def table(contestants: Sequence[Contestant], products: int) -> list[str]:
    """The lines of a table; the first contestant is CLIP as shipped, the second at its best."""
    lines = [
        "| | products/s of one core (quartiles) | by the clock (quartiles) | x CLIP as shipped: core, clock "
        "| x CLIP at its best: core, clock | GFLOP per product | GFLOP/s |",
        "|---" * 7 + "|",
    ]
    for contestant in contestants:
        rates = {by: contestant.rates(products, by) for by in Took._fields}
        shown = [f"{middle:.2f} ({low:.2f}-{high:.2f})" for low, middle, high in rates.values()]
        for other in contestants[:2]:
            times = [rate[1] / other.rates(products, by)[1] for by, rate in rates.items()]
            shown.append(", ".join(f"{ratio:.2f}" for ratio in times))
        work = contestant.flops / 1e9
        lines.append(f"| {contestant.name} | {' | '.join(shown)} | {work:.1f} | {work * rates['cpu'][1]:,.0f} |")
    return lines


if __name__ == "__main__":
    main()
