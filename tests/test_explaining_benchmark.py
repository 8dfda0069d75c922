"""`benchmarks/explaining.py`: what is left of a listing is embedded as it would be served."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.embedding.embedder import Embedder
from item_embed.evaluation.intervals import ratios
from item_embed.explain import Listing, explain
from tests.embedding.export.made import photo, trained

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import explaining  # noqa: E402

PAIRS = [
    (Listing("Red mug model 1 grey", photo(4)), Listing("Blue shoe golden lamp bag", photo(6))),
    (Listing("Golden lamp with a bag", photo(2)), Listing("Golden lamp grey shoe 1", photo(8))),
]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder(trained(tmp_path_factory.mktemp("model"), "fused"))


@pytest.fixture(scope="module")
def measured(embedder: Embedder) -> tuple[NDArray[np.float64], explaining.Scores]:
    return explaining.deletion(embedder, PAIRS, seed=0)


def test_the_highest_weighted_words_are_cut_out_and_the_rest_is_embedded(
    embedder: Embedder, measured: tuple[NDArray[np.float64], explaining.Scores]
) -> None:
    whole, scores = measured
    for number, (a, b) in enumerate(PAIRS):
        found = explain(embedder, a, b)
        vectors = embedder.embed([a.photo, b.photo], [a.title, b.title])
        assert whole[number] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
        for place, share in enumerate(explaining.SHARES):
            left = []
            for side, listing, other in ((found.a, a, vectors[1]), (found.b, b, vectors[0])):
                ranked = sorted(side.words, key=lambda word: -word.weight)[: round(share * len(side.words))]
                title = " ".join(word.text for word in side.words if word not in ranked)
                left.append(float(embedder.embed([listing.photo], [title])[0] @ other))
            assert scores["words", "highest"][number, place] == pytest.approx(np.mean(left), abs=1e-5)


def test_removing_what_occlusion_weighs_highest_takes_at_least_as_much(embedder: Embedder) -> None:
    """Of two patches that are shown, the first to go is the one whose loss is larger: the definition of its weight."""
    pairs = [(Listing(None, photo(1)), Listing(None, photo(4)))]
    _, scores = explaining.deletion(embedder, pairs, 0, ("gradients", "occlusion"))
    assert (scores["words", "highest"] == scores["words", "lowest"]).all()
    lower = scores["patches", "highest by occlusion"]
    assert (lower[:, 0] <= scores["patches", "random"][:, 0] + 1e-6).all()


def test_tables_and_figure(
    measured: tuple[NDArray[np.float64], explaining.Scores], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, scores = measured
    curves = {name: ratios(values, np.ones_like(values)) for name, values in scores.items()}
    explaining.print_curves(ratios(whole[:, None], np.ones((2, 1)))[0], curves, scores)
    explaining.draw(tmp_path / "curves.png", float(whole.mean()), curves)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| patches | highest |") for line in table) == 2
