import io
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError
from item_embed.model.encoder import ItemModel, ItemOutput
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.storage import load_model, quiet_transformers
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from item_embed.training.run import pretrain
from tests.tiny import pattern, tiny_catalog, tiny_config, tiny_model, tiny_processor, white_catalog

TITLES = ["Red mug, model 1", None, "Golden lamp", "Grey bag, model 7 and more words than fit", "Blue shoe"]


def opened(number: int) -> Image.Image:
    return Image.open(io.BytesIO(pattern(number)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedder")
    catalog, config = tiny_catalog(path / "catalog"), tiny_config("model.dropout=0.5")
    processor = tiny_processor(catalog, config)
    with quiet_transformers():
        tiny_model(processor, config).save_pretrained(path / "model")
    processor.save_pretrained(path / "model")
    return path / "model"


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def images() -> list[Image.Image | None]:
    return [opened(1), opened(2), None, Image.new("RGB", (90, 40), "teal"), opened(3)]


def test_a_photo_that_was_made_ready_has_the_vector_of_its_file(embedder: Embedder) -> None:
    files = [pattern(number) for number in range(4)]
    ready = [embedder.photos.read(file) for file in files]
    np.testing.assert_array_equal(embedder.embed(ready, TITLES[:4]), embedder.embed(files, TITLES[:4]))
    with pytest.raises(ModelError, match="product 1 was made ready for another model"):
        embedder.embed([None, ready[0]._replace(pixels=ready[0].pixels[:, 1:])], ["mug", None])
    with pytest.raises(ValueError, match="single photo"):
        embedder.embed(cast("Any", ready[0]))


def test_bf16_turns_vectors_by_next_to_nothing(
    folder: Path, embedder: Embedder, images: Sequence[Image.Image | None]
) -> None:
    """In another precision other numbers come out, of the same type and the same direction."""
    low = Embedder.from_pretrained(folder, "cpu", "bf16")
    assert isinstance(low.backend, TorchBackend)
    assert low.backend.precision == "bf16"
    exact, vectors = embedder.embed(images, TITLES), low.embed(images, TITLES)
    assert vectors.dtype == np.float32
    assert not np.array_equal(vectors, exact)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose((vectors * exact).sum(axis=1), 1, atol=1e-3)


def test_unit_vectors_of_the_encoders_cls_in_the_order_given(
    folder: Path, embedder: Embedder, images: Sequence[Image.Image | None]
) -> None:
    vectors = embedder.embed(images, TITLES)
    assert vectors.shape == (5, 16)
    assert vectors.dtype == np.float32
    assert embedder.dimension == 16
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)

    processor = ItemProcessor.from_pretrained(folder)
    model = ItemModel.from_pretrained(folder)
    model.train(False)
    for row, (image, title) in enumerate(zip(images, TITLES, strict=True)):
        with torch.no_grad():
            cls = model(**processor([title], [image])).cls[0]
        np.testing.assert_allclose(vectors[row], (cls / cls.norm()).numpy(), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_changes_nothing(
    batch_size: int, embedder: Embedder, images: Sequence[Image.Image | None]
) -> None:
    np.testing.assert_allclose(
        embedder.embed(images, TITLES, batch_size=batch_size), embedder.embed(images, TITLES), atol=1e-5
    )


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_model_that_was_trained_without_background_embeds_without_it(batch_size: int, tmp_path: Path) -> None:
    """The vectors are those of training's own path, and the background in a photo says nothing."""
    catalog = white_catalog(tmp_path / "catalog")
    drops = ("objectives.patch_masking=drop", "model.background=drop")
    config = tiny_config(*drops, "objectives.weights.itm=0", "objectives.mismatch_rate=0")
    folder = pretrain(catalog, tmp_path / "run", config).model
    rows = np.flatnonzero(catalog.has_photo)
    photos = [catalog.photo(int(row)) for row in rows]
    vectors = Embedder.from_pretrained(folder, "cpu").embed(
        photos, [catalog.titles[int(row)] for row in rows], batch_size
    )

    model, processor = load_model(folder, ItemForPreTraining), ItemProcessor.from_pretrained(folder)
    batch = PretrainingData(catalog, rows, processor, config).batch(rows, np.zeros(len(rows), np.int64))
    unmasked = replace(batch, input_ids=batch.tokens, masked_patches=torch.zeros_like(batch.masked_patches))
    encoded: list[ItemOutput] = []
    model.register_forward_hook(lambda *call: encoded.append(call[2]))
    with torch.no_grad():
        Pretraining(model, config.objectives)(unmasked)
    np.testing.assert_allclose(vectors, torch.nn.functional.normalize(encoded[0].cls, dim=-1).numpy(), atol=1e-5)
    with torch.no_grad():
        everything = model(batch.tokens, batch.pixels / 127.5 - 1, batch.token_padding, batch.photo_missing).cls
    assert np.abs(vectors - torch.nn.functional.normalize(everything, dim=-1).numpy()).max() > 1e-3


def test_a_photo_may_be_opened_a_file_or_bytes(embedder: Embedder, tmp_path: Path) -> None:
    file = tmp_path / "mug.png"
    file.write_bytes(pattern(1))
    vectors = embedder.embed(images=[opened(1), file, str(file), pattern(1)])
    assert all((vectors[0] == vector).all() for vector in vectors)
    assert np.abs(vectors[0] - embedder.embed(images=[pattern(2)])[0]).max() > 1e-3


def test_an_opened_photo_is_read_as_its_file_is(embedder: Embedder, tmp_path: Path) -> None:
    """White behind transparency, turned as EXIF says."""
    clear = Image.fromarray(np.asarray(opened(1))).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(tmp_path / "clear.png")
    turned = opened(1).convert("RGB")
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    for file in (tmp_path / "clear.png", tmp_path / "turned.png"):
        from_file, from_image = embedder.embed(images=[file, Image.open(file)])
        np.testing.assert_array_equal(from_file, from_image)
        assert np.abs(from_file - embedder.embed(images=[pattern(1)])[0]).max() > 1e-4


def test_one_modality_alone_is_a_missing_other(embedder: Embedder, images: Sequence[Image.Image | None]) -> None:
    photos = [image or opened(9) for image in images]
    titles = [title or "Black chair" for title in TITLES]
    nothing: list[Any] = [None] * 5
    np.testing.assert_allclose(embedder.embed(titles=titles), embedder.embed(nothing, titles), atol=1e-6)
    np.testing.assert_allclose(embedder.embed(photos), embedder.embed(photos, nothing), atol=1e-6)
    # Alone in its batch, with no patches at all, a title gets the vector it gets beside photos.
    both = embedder.embed([*nothing, opened(1)], [*titles, "Red mug"])
    np.testing.assert_allclose(embedder.embed(titles=titles), both[:5], atol=1e-5)
    assert np.abs(embedder.embed(titles=titles) - embedder.embed(photos, titles)).max() > 1e-3


def test_embedding_is_repeatable_whatever_mode_the_model_was_in(folder: Path) -> None:
    model = ItemModel.from_pretrained(folder)
    model.train()
    embedder = Embedder(TorchBackend(model, ItemProcessor.from_pretrained(folder), folder, "f", device="cpu"))
    first: NDArray[np.float32] = embedder.embed(titles=["Red mug"])
    assert (first == embedder.embed(titles=["Red mug"])).all()


def test_nothing_to_embed_is_no_vector(embedder: Embedder) -> None:
    assert embedder.embed(titles=[]).shape == (0, 16)


def test_progress_is_told_in_products(embedder: Embedder) -> None:
    told: list[tuple[int, int | None]] = []
    embedder.embed(titles=["a"] * 5, batch_size=2, on_progress=lambda *units: told.append(units))
    assert told == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give images, titles, or both"),
        ({"images": [None], "titles": ["a", "b"]}, "1 images and 2 titles"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str, embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=message):
        embedder.embed(**arguments)


@pytest.mark.parametrize("title", [None, ""])
def test_a_product_with_neither_is_named(title: str | None, embedder: Embedder) -> None:
    with pytest.raises(ModelError, match="product 3 has neither a photo nor a title"):
        embedder.embed([None] * 4, ["a", "b", "c", title], batch_size=2)


def test_a_photo_that_cannot_be_used_is_named(embedder: Embedder, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    photo_file = pattern(1)
    cut = Image.open(io.BytesIO(photo_file[: len(photo_file) // 2]))
    for photo, sentence in (
        (tmp_path / "none.jpg", r"product 1 \(.*none\.jpg\) cannot be used: No such file"),
        (text, r"product 1 \(.*text\.jpg\) cannot be used: not a readable image"),
        (b"no photo", r"product 1 \(bytes\) cannot be used: not a readable image"),
        (cut, r"product 1 \(PngImageFile\) cannot be used: truncated file"),
    ):
        with pytest.raises(ModelError, match=sentence):
            embedder.embed(images=[pattern(1), photo])


def test_the_fingerprint_is_of_the_files(folder: Path, embedder: Embedder, tmp_path: Path) -> None:
    copy = Embedder.from_pretrained(str(shutil.copytree(folder, tmp_path / "copy")))
    assert copy.fingerprint == embedder.fingerprint
    assert (copy.path, embedder.path) == (tmp_path / "copy", folder)
    file = tmp_path / "copy" / "processor_config.json"
    file.write_text(file.read_text().replace("8", "7"))
    assert Embedder.from_pretrained(tmp_path / "copy").fingerprint != embedder.fingerprint


def test_no_model_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no model folder"):
        Embedder.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_no_such_device_is_one_sentence(device: str, folder: Path) -> None:
    with pytest.raises(ModelError, match=f"cannot be put on the device '{device}'") as caught:
        Embedder.from_pretrained(folder, device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"titles": "red mug"}, r"titles=\['red mug'\]"),
        ({"titles": b"red mug"}, "titles is a single title"),
        ({"images": "mug.jpg"}, r"images=\[photo\]"),
        ({"images": b"\xff\xd8"}, "images is a single photo"),
        ({"images": Path("mug.jpg")}, "images is a single photo"),
        ({"images": opened(1)}, "images is a single photo"),
        ({"titles": ["a", "b"], "batch_size": -1}, "at least 1, not -1"),
        ({"titles": ["a", "b"], "batch_size": 0}, "at least 1, not 0"),
    ],
)
def test_a_list_is_asked_for(arguments: dict[str, Any], message: str, embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=message):
        embedder.embed(**arguments)


@pytest.mark.parametrize("title", ["   ", "\u200b", "!!!", "nan"])
def test_a_blank_title_is_none(title: str, embedder: Embedder, images: Sequence[Image.Image | None]) -> None:
    with pytest.raises(ModelError, match="product 1 has neither a photo nor a title"):
        embedder.embed(titles=["a", title])
    np.testing.assert_array_equal(embedder.embed(images[:1], [title]), embedder.embed(images[:1]))


@pytest.mark.parametrize("value", [float("nan"), 7, b"mug", ["mug"]])
def test_a_title_that_is_no_text_is_named(value: Any, embedder: Embedder) -> None:
    with pytest.raises(ModelError, match="the title of product 1 is no text but"):
        embedder.embed(titles=["a", value])


@pytest.mark.parametrize("value", [float("nan"), 7, ["mug.jpg"], np.zeros((4, 4, 3), np.uint8)])
def test_a_photo_that_is_none_is_named(value: Any, embedder: Embedder) -> None:
    with pytest.raises(ModelError, match="the photo of product 1 is no photo but"):
        embedder.embed(images=[pattern(1), value])


def test_titles_are_cleaned_as_a_catalogues_are(embedder: Embedder) -> None:
    raw, clean = embedder.embed(titles=["Red &amp; <b>blue</b>\u200b  mug", "Red & blue mug"])
    np.testing.assert_array_equal(raw, clean)
