"""The exported graph gives the vectors that torch gives, whatever the model, the products and what they lack."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from item_embed.embedding.export import export_model
from item_embed.embedding.exported import ONNX_FILE, WORDS_FILE
from item_embed.embedding.onnx_backend import OnnxBackend
from item_embed.embedding.seen import Modalities
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError
from item_embed.model.whitening import SIGHTS
from item_embed.model.words import Words
from tests.embedding.export.made import TITLES, photo, trained

ROUNDING = 1e-5

Product = tuple[Image.Image | None, str | None]

PRODUCTS: list[Product] = [
    (photo(number) if number % 4 else None, TITLES[number % 5] if number % 5 or not number % 4 else None)
    for number in range(45)
]


def both(model: TorchBackend, folder: Path, modalities: Modalities = "both") -> tuple[TorchBackend, OnnxBackend]:
    export_model(model, folder, modalities=modalities)
    return model, OnnxBackend.from_pretrained(folder)


def assert_same(model: TorchBackend, exported: OnnxBackend, products: list[Product]) -> None:
    images, titles = [image for image, _ in products], [title for _, title in products]
    found = exported.encode(images, titles)
    assert found.dtype == np.float32
    assert exported.dimension == model.dimension
    np.testing.assert_allclose(found, model.encode(images, titles), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("background", ["keep", "drop"])
@pytest.mark.parametrize("kind", ["none", "plain", "fused"])
@pytest.mark.parametrize("patch_embedding", ["linear", "convolutional"])
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_vectors_are_those_of_torch(
    norm_position: str, patch_embedding: str, kind: str, background: str, tmp_path: Path
) -> None:
    architecture = {"norm_position": norm_position, "patch_embedding": patch_embedding, "background": background}
    model, exported = both(trained(tmp_path, kind, **architecture), tmp_path / "out")
    lacking = {(image is None, title is None) for image, title in PRODUCTS}
    assert lacking == {(False, False), (True, False), (False, True)}
    assert_same(model, exported, PRODUCTS)  # of all lengths, in more than one group
    for product in ((photo(1), TITLES[0]), (photo(2), None), (None, TITLES[2])):
        assert_same(model, exported, [product])
        assert_same(model, exported, [product] * 3)
    assert exported.encode([], []).shape == (0, model.dimension)


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchBackend, OnnxBackend]:
    folder = tmp_path_factory.mktemp("fused")
    return both(trained(folder, "fused", background="drop"), folder / "out")


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 30), st.none() | st.text("aber qugy,", min_size=1)).filter(
            lambda product: product[0] is not None or (product[1] or "").strip(" ,")
        ),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=25)
def test_whatever_is_embedded_together(
    fused: tuple[TorchBackend, OnnxBackend], drawn: list[tuple[int | None, str | None]]
) -> None:
    images = [None if number is None else photo(number) for number, _ in drawn]
    titles = [(title or "").strip(" ,") or None for _, title in drawn]
    assert_same(*fused, list(zip(images, titles, strict=True)))


@pytest.mark.parametrize("kind", ["none", "plain", "fused"])
@pytest.mark.parametrize("modalities", ["image", "title"])
def test_one_side_alone_has_the_vectors_of_the_model_that_sees_it_alone(
    modalities: Modalities, kind: str, tmp_path: Path
) -> None:
    model, exported = both(trained(tmp_path, kind, background="drop"), tmp_path / "out", modalities)
    photos: list[Product] = [(image, None) for image, _ in PRODUCTS if image]
    titles: list[Product] = [(None, title) for _, title in PRODUCTS if title]
    assert_same(model, exported, photos if modalities == "image" else titles)
    graph = onnx.load(tmp_path / "out" / ONNX_FILE).graph
    names = {value.name for value in graph.input}
    words = {"words"} if kind == "fused" else set()
    assert names == ({"input_ids"} | words if modalities == "title" else {"pixel_values", "patch_index"})
    assert (tmp_path / "out" / WORDS_FILE).exists() == ("words" in names)
    weights = {weight.name for weight in graph.initializer}
    assert ("embeddings.word.weight" in weights) == (modalities == "title")
    assert ("embeddings.patch.weight" in weights) == (modalities == "image")


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh", "relu"])
def test_activations(activation: str, tmp_path: Path) -> None:
    assert_same(*both(trained(tmp_path, hidden_act=activation), tmp_path / "out"), PRODUCTS)


def test_an_unknown_activation_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the activation 'silu', which `item export` cannot write; it can write gelu"):
        export_model(trained(tmp_path, hidden_act="silu"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_file_is_what_the_documentation_says(tmp_path: Path) -> None:
    """What a program that knows nothing of item-embed finds: inputs, free dimensions, an opset, each weight once."""
    model = trained(tmp_path, "fused")
    export_model(model, tmp_path / "out")
    file = tmp_path / "out" / ONNX_FILE
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert {value.name: (value.type, value.shape) for value in session.get_inputs()} == {
        "input_ids": ("tensor(int64)", ["products", "tokens"]),
        "pixel_values": ("tensor(uint8)", ["photos", 3, 32, 16]),
        "patch_index": ("tensor(int64)", ["products", "patches"]),
        "words": ("tensor(float)", ["products", 8]),
    }
    (vector,) = session.get_outputs()
    assert (vector.name, vector.shape) == ("vector", ["products", 20])
    written = onnx.load(file)
    assert written.opset_import[0].version == 20
    sizes = [weight.ByteSize() for weight in written.graph.initializer]
    parameters = sum(value.nelement() for name, value in model.model.state_dict().items() if "mask" not in name)
    whitening = model.whitening
    assert whitening is not None
    assert whitening.fusion is not None
    of_whitening = sum(value.nelement() for value in (whitening.mean, whitening.matrix, whitening.fusion.frame))
    assert len(SIGHTS) == 3
    assert sum(sizes) < 4 * (parameters + of_whitening) + 100 * len(sizes)  # three passes, but the weights of one

    photos = np.stack([model.processor.pixels(photo(number)) for number in (2, 4)])
    ids = model.processor.tokenize(["Red mug", None, "Blue shoe"]).ids
    places = np.array([[8, 9, 10, 11, 12, 13, 14, 15], [0, 1, 2, 3, 4, 5, 6, 7], [-1] * 8])
    words = Words.of(TITLES, 8)(["Red mug", None, "Blue shoe"])
    (found,) = session.run(None, {"input_ids": ids, "pixel_values": photos, "patch_index": places, "words": words})
    expected = model.encode([photo(4), photo(2), None], ["Red mug", None, "Blue shoe"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
