"""`benchmarks/clip.py`: CLIP's graphs are CLIP, what is computed is counted right, and all embed the same products."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from tests.tiny import white_catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import clip  # noqa: E402
from clip_graph import photo_tower, title_tower  # noqa: E402

SIZE = clip.size(2, 192).model_copy(update={"image_size": (64, 64)})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> clip.Stage:
    return clip.Stage.build(white_catalog(tmp_path_factory.mktemp("clip") / "catalog"), 6, SIZE)


def test_the_graphs_give_what_transformers_gives(stage: clip.Stage) -> None:
    model = clip.clip_like(SIZE)
    ids = clip.clip_ids(stage, model)
    ids[0, 5:] = model.config.text_config.eos_token_id  # one that ends before the others
    pixels = torch.randn(6, 3, 64, 64)
    with torch.inference_mode():
        expected = model(pixel_values=pixels, input_ids=torch.from_numpy(ids))
    for graph, inputs, vectors in (
        (photo_tower(model), {"pixel_values": pixels.numpy()}, expected.image_embeds),
        (title_tower(model), {"input_ids": ids}, expected.text_embeds),
    ):
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, inputs)[0], vectors.numpy(), atol=1e-5)


def test_products_are_what_the_docstring_says(stage: clip.Stage) -> None:
    assert all(len(title.split()) == clip.WORDS for title in stage.titles)
    assert stage.patches("drop").mean() < 0.9 * SIZE.patches
    assert (stage.grainy().patches("drop") == SIZE.patches).all()
    ids = clip.clip_ids(stage, clip.clip_like(SIZE))
    assert ((ids == 49407).argmax(axis=1) + 1 == stage.tokens()).all()


def test_what_is_counted_is_what_torch_counts() -> None:
    tokens, patches = np.array([9]), np.array([SIZE.patches])
    config = ItemConfig(**{name: getattr(SIZE, name) for name in ("image_size", "hidden_size", "num_hidden_layers")})
    model = ItemModel(config)  # its MLPs and heads are those of a model of 768
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model(torch.ones(1, 9, dtype=torch.long), torch.zeros(1, 3, 64, 64))
    assert clip.ours_flops(config, tokens, patches, last=False)[0] == counter.get_total_flops()
    assert clip.ours_flops(config, tokens, patches, last=True)[0] < counter.get_total_flops()


def test_all_embed_the_same_products(stage: clip.Stage, tmp_path: Path) -> None:
    contestants = [*clip.clips(stage, tmp_path), *clip.ours(stage, stage.grainy(), tmp_path)]
    for contestant in contestants:
        contestant.run()
    vectors = [contestant.embed() for contestant in contestants]
    assert (np.sum(vectors[0] * vectors[1], axis=1) > 1.9).all()  # two vectors of length 1 in a row
    kept, quantised, dropped, grainy, joined = vectors[2:]
    assert (np.sum(kept * quantised, axis=1) > 0.99).all()
    assert not np.allclose(quantised, dropped, atol=1e-3)
    assert not np.allclose(dropped, grainy, atol=1e-3)
    assert joined.shape == (6, 256)
    work = [contestant.flops for contestant in contestants]
    assert work[0] > work[1]
    assert work[2] > work[3] == work[5] > work[4]


def test_the_table_compares_medians_with_both_clips() -> None:
    def contestant(name: str, *seconds: tuple[float, float]) -> clip.Contestant:
        return clip.Contestant(name, lambda: np.zeros(0, np.float32), 1e9, [clip.Took(*pair) for pair in seconds])

    shown = clip.table(
        [contestant("a", (2, 8)), contestant("b", (1, 4)), contestant("c", (0.5, 1), (0.5, 1), (9, 9))], 10
    )
    assert shown[2] == "| a | 5.00 (5.00-5.00) | 1.25 (1.25-1.25) | 1.00, 1.00 | 0.50, 0.50 | 1.0 | 5 |"
    assert shown[4].startswith("| c | 20.00 (10.56-20.00) | 10.00 (5.56-10.00) | 4.00, 8.00 | 2.00, 4.00 |")
