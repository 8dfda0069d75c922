import math

import pytest
import torch
import torch.nn.functional as F

from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel, attention, plain_attention
from item_embed.model.heads import ItemForPreTraining
from tests.model.small import CONFIG, IDS, PADDING, PHOTOS, drawn, small_model


@pytest.fixture(scope="module")
def model() -> ItemModel:
    return small_model()


def test_shapes(model: ItemModel) -> None:
    output = model(IDS, PHOTOS, PADDING)
    assert output.hidden.shape == (3, 11, 16)
    assert (output.title.shape, output.photo.shape, output.cls.shape) == ((3, 5, 16), (3, 6, 16), (3, 16))
    assert torch.equal(torch.cat([output.title, output.photo], dim=1), output.hidden)
    assert torch.equal(output.cls, output.title[:, 0])


def test_each_row_alone_is_as_it_is_in_a_padded_batch(model: ItemModel) -> None:
    together = model(IDS, PHOTOS, PADDING)
    for row, length in enumerate((5, 3, 2)):
        alone = model(IDS[row : row + 1, :length], PHOTOS[row : row + 1])
        torch.testing.assert_close(together.title[row, :length], alone.title[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.photo[row], alone.photo[0], atol=1e-5, rtol=1e-5)


def test_more_padding_changes_nothing(model: ItemModel) -> None:
    wider = F.pad(IDS, (0, 5))
    before, after = model(IDS, PHOTOS, PADDING), model(wider, PHOTOS, wider == 0)
    torch.testing.assert_close(after.cls, before.cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.photo, before.photo, atol=1e-5, rtol=1e-5)


def test_a_missing_photo_changes_nothing_whatever_its_pixels(model: ItemModel) -> None:
    without = model(IDS, None, PADDING)
    missing = torch.ones(3, dtype=torch.bool)
    for pixels in (PHOTOS, torch.full_like(PHOTOS, 1e4)):
        torch.testing.assert_close(model(IDS, pixels, PADDING, missing).title, without.title, atol=1e-5, rtol=1e-5)
    one = torch.tensor([False, True, False])
    mixed = model(IDS, PHOTOS, PADDING, one)
    torch.testing.assert_close(mixed.cls[1], without.cls[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.cls[0], model(IDS, PHOTOS, PADDING).cls[0], atol=1e-5, rtol=1e-5)


def test_both_modalities_do_matter(model: ItemModel) -> None:
    output = model(IDS, PHOTOS, PADDING).cls
    assert (model(IDS, -PHOTOS, PADDING).cls - output).abs().max() > 1e-2
    assert (model(IDS.where(IDS != 11, 14), PHOTOS, PADDING).cls[0] - output[0]).abs().max() > 1e-2
    swapped = IDS.clone()
    swapped[0, 1:3] = IDS[0, [2, 1]]
    assert (model(swapped, PHOTOS, PADDING).cls[0] - output[0]).abs().max() > 1e-3  # positions count


def test_what_a_masked_patch_shows_has_no_influence(model: ItemModel) -> None:
    masked = torch.tensor([[True, False, False, True, False, False]] * 3)
    other = PHOTOS.clone()
    other[:, :, :8, :8] = 0.9  # patch 0
    other[:, :, 8:16, 8:] = -0.9  # patch 3
    before = model(IDS, PHOTOS, PADDING, masked_patches=masked).hidden
    assert torch.equal(model(IDS, other, PADDING, masked_patches=masked).hidden, before)
    assert not torch.equal(model(IDS, other, PADDING).hidden, model(IDS, PHOTOS, PADDING).hidden)
    assert not torch.equal(model(IDS, PHOTOS, PADDING).hidden, before)


def test_positions_of_the_trained_grid_are_the_embeddings_themselves(model: ItemModel) -> None:
    embeddings = model.embeddings
    assert embeddings.patch_positions((3, 2)) is embeddings.patch_position.weight


def cubic(x: float) -> float:
    """The kernel of bicubic interpolation, a = -0.75 as in torch."""
    a, x = -0.75, abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


@pytest.mark.parametrize("grid", [(6, 4), (2, 5), (1, 1)])
def test_positions_of_another_grid_are_interpolated_bicubically(model: ItemModel, grid: tuple[int, int]) -> None:
    trained = model.embeddings.patch_position.weight.detach().reshape(3, 2, 16)
    positions = model.embeddings.patch_positions(grid).detach().reshape(*grid, 16)
    for row in range(grid[0]):
        for column in range(grid[1]):
            y, x = (row + 0.5) * 3 / grid[0] - 0.5, (column + 0.5) * 2 / grid[1] - 0.5
            expected = torch.zeros(16)
            for i in range(math.floor(y) - 1, math.floor(y) + 3):
                for j in range(math.floor(x) - 1, math.floor(x) + 3):
                    weight = cubic(y - i) * cubic(x - j)
                    expected += weight * trained[min(max(i, 0), 2), min(max(j, 0), 1)]
            torch.testing.assert_close(positions[row, column], expected, atol=1e-5, rtol=1e-4)


def test_a_photo_of_another_size_is_encoded(model: ItemModel) -> None:
    output = model(IDS, drawn(3, 3, 48, 32, seed=1), PADDING)
    assert output.photo.shape == (3, 24, 16)
    assert output.hidden.isfinite().all()


@pytest.mark.parametrize("padded", [False, True])
def test_the_plain_formula_is_torchs_in_values_and_gradients(padded: bool) -> None:
    attended = torch.ones(3, 1, 1, 7, dtype=torch.bool)
    if padded:
        attended[0, ..., 4:] = False
        attended[2, ..., 1:] = False
    results = []
    for plain in (True, False):
        q, k, v = (drawn(3, 2, 7, 8, seed=seed).requires_grad_() for seed in (1, 2, 3))
        y = plain_attention(q, k, v, attended) if plain else F.scaled_dot_product_attention(q, k, v, attn_mask=attended)
        (y * drawn(3, 2, 7, 8, seed=4)).sum().backward()
        results.append([y, q.grad, k.grad, v.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_bf16_on_a_cpu_takes_the_plain_formula_and_is_near_fp32() -> None:
    q, k, v = (drawn(2, 2, 5, 8, seed=seed) for seed in (1, 2, 3))
    attended = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    low = attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), attended)
    assert torch.equal(low, plain_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), attended))
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), attention(q, k, v, attended), atol=0.05, rtol=0.05)


def test_initial_weights() -> None:
    config = ItemConfig(**{**CONFIG, "hidden_size": 64, "intermediate_size": 256, "vocab_size": 500})
    torch.manual_seed(0)
    model = ItemForPreTraining(config)
    # A normal distribution cut at two deviations keeps 0.8796 of its deviation.
    expected = 0.8796 * config.initializer_range
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        if parameter.dim() == 2 or name.endswith("patch_mask"):
            tolerance = 5 * expected / math.sqrt(2 * values.numel())
            assert abs(values.square().mean().sqrt().item() - expected) < tolerance, name
            assert values.abs().max() <= 2 * config.initializer_range, name
        elif "norm" in name or ".transform." in name:
            assert torch.equal(values, torch.full_like(values, float(name.endswith("weight")))), name
        else:
            assert name.endswith("bias"), name
            assert not values.any(), name


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    models = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        models.append(ItemForPreTraining(ItemConfig(**CONFIG)).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert not torch.equal(models[0]["item.embeddings.word.weight"], models[2]["item.embeddings.word.weight"])


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    model = ItemModel(ItemConfig(**{**CONFIG, "dropout": 0.5}))
    model.train()
    assert not torch.equal(model(IDS, PHOTOS).cls, model(IDS, PHOTOS).cls)
    model.train(False)
    assert torch.equal(model(IDS, PHOTOS).cls, model(IDS, PHOTOS).cls)


def test_word_embeddings_can_be_asked_for_and_replaced() -> None:
    model = ItemModel(ItemConfig(**CONFIG))
    assert model.get_input_embeddings() is model.embeddings.word
    wider = torch.nn.Embedding(80, 16)
    model.set_input_embeddings(wider)
    assert model.embeddings.word is wider
