from pathlib import Path

import pytest
import torch

from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.model.stem import ConvolutionalStem
from item_embed.model.storage import quiet_transformers

HEIGHT, WIDTH, SIDE = 48, 32, 8


def config(**changes: object) -> ItemConfig:
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    shape = {"image_size": (HEIGHT, WIDTH), "patch_size": SIDE, "vocab_size": 64, "dropout": 0.0}
    return ItemConfig(**{**size, **shape, "patch_embedding": "convolutional", **changes})  # type: ignore[arg-type]


@pytest.fixture
def model() -> ItemModel:
    torch.manual_seed(0)
    model: ItemModel = ItemModel(config()).train(False)
    return model


@pytest.fixture
def photos() -> torch.Tensor:
    return torch.randn(3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


IDS = torch.tensor([[2, 9, 3]]).repeat(3, 1)


def patch_of(number: int) -> tuple[slice, slice]:
    row, column = divmod(number, WIDTH // SIDE)
    return slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE)


@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_a_vector_for_each_patch_of_any_power_of_two(side: int) -> None:
    stem = ConvolutionalStem(config(patch_size=side))
    assert stem(torch.zeros(2, 3, 32, 64)).shape == (2, 32 * 64 // side**2, 16)
    widths = [layer.out_channels for layer in stem.convolutions]
    assert widths == [16 >> left for left in reversed(range(side.bit_length() - 1))]


def test_patches_come_row_by_row(photos: torch.Tensor) -> None:
    torch.manual_seed(0)
    stem = ConvolutionalStem(config())
    found = stem(photos)
    seen = photos
    for convolution, norm in zip(stem.convolutions, stem.norms, strict=True):
        seen = torch.relu(norm(convolution(seen)))
    for row in range(HEIGHT // SIDE):
        for column in range(WIDTH // SIDE):
            torch.testing.assert_close(found[:, row * (WIDTH // SIDE) + column], stem.out(seen[:, :, row, column]))


def test_what_is_masked_is_hidden_from_all(model: ItemModel, photos: torch.Tensor) -> None:
    masked = torch.zeros(3, HEIGHT * WIDTH // SIDE**2, dtype=torch.bool)
    masked[:, [6, 13]] = True
    other = photos.clone()
    for number in (6, 13):
        rows, columns = patch_of(number)
        other[:, :, rows, columns] = 7.0
    seen, hidden = (model(IDS, photo, masked_patches=masked).hidden for photo in (photos, other))
    assert torch.equal(seen, hidden)
    assert not torch.equal(model(IDS, photos).hidden, model(IDS, other).hidden)
    left_out = [model(IDS, photo, masked_patches=masked, left_out=masked).cls for photo in (photos, other)]
    assert torch.equal(*left_out)


def test_a_missing_photo_does_not_matter_and_is_not_convolved(model: ItemModel, photos: torch.Tensor) -> None:
    missing = torch.tensor([False, True, False])
    together = model(IDS, photos, photo_missing=missing)
    other = photos.clone()
    other[1] = float("nan")
    assert torch.equal(model(IDS, other, photo_missing=missing).cls, together.cls)
    for row in (0, 2):
        alone = model(IDS[:1], photos[row : row + 1])
        torch.testing.assert_close(alone.cls[0], together.cls[row])
    torch.testing.assert_close(model(IDS[:1]).cls[0], together.cls[1])
    nothing = model(IDS, photos, photo_missing=torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(nothing.cls[0], together.cls[1])


def test_patches_left_out_change_others_only_through_attention(model: ItemModel, photos: torch.Tensor) -> None:
    left_out = torch.zeros(3, HEIGHT * WIDTH // SIDE**2, dtype=torch.bool)
    left_out[:, ::2] = True
    output = model(IDS, photos, left_out=left_out)
    assert output.patch_index is not None
    assert output.patch_index.tolist() == [list(range(1, 24, 2))] * 3
    index = output.patch_index[..., None].expand(-1, -1, 16)
    embedded = model.embeddings(IDS, photos, None, output.patch_index)[:, 3:]
    torch.testing.assert_close(embedded, model.embeddings(IDS, photos)[:, 3:].gather(1, index))


def test_a_vector_does_not_depend_on_what_is_embedded_with_it(model: ItemModel, photos: torch.Tensor) -> None:
    model.train()  # no norm of batches: also in training
    together = model(IDS, photos).cls
    for row in range(3):
        torch.testing.assert_close(model(IDS[:1], photos[row : row + 1]).cls[0], together[row])


def test_it_is_saved_and_loaded(model: ItemModel, photos: torch.Tensor, tmp_path: Path) -> None:
    with quiet_transformers():
        model.save_pretrained(tmp_path / "model")
        loaded = ItemModel.from_pretrained(tmp_path / "model")
    assert loaded.config.patch_embedding == "convolutional"
    torch.testing.assert_close(loaded.train(False)(IDS, photos).cls, model(IDS, photos).cls)
