"""The settings of published models, and what transformers' own processors make of them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from item_embed.catalog.photos.images import decode
from item_embed.errors import ModelError
from item_embed.evaluation.learners.preprocessing import Preprocessing
from tests.evaluation.learners.pictures import png

CLIP = {
    "crop_size": 24,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 24,
}
SIGLIP = {
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 20, "width": 28},
}
DINOV2 = CLIP | {"crop_size": {"height": 22, "width": 22}, "size": {"shortest_edge": 26}}
VIT = {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 24}
CONVNEXT = {"crop_pct": 0.875, "resample": 3, "size": {"shortest_edge": 24}, "image_mean": [0.4] * 3}
SHAPES = {"CLIP": (24, 24), "SIGLIP": (20, 28), "DINOV2": (22, 22), "VIT": (24, 24), "CONVNEXT": (24, 24)}
SETTINGS: dict[str, dict[str, Any]] = {
    "CLIP": CLIP,
    "SIGLIP": SIGLIP,
    "DINOV2": DINOV2,
    "VIT": VIT,
    "CONVNEXT": CONVNEXT,
}


@pytest.mark.parametrize("name", SETTINGS)
@given(height=st.integers(8, 60), width=st.integers(8, 60))
def test_photos_of_all_shapes_come_to_one(name: str, height: int, width: int) -> None:
    preprocessing = Preprocessing.of(SETTINGS[name], name)
    assert preprocessing.shape == SHAPES[name]
    assert preprocessing(png(height, width)).shape == (3, *SHAPES[name])


@pytest.mark.parametrize("size", [(60, 40), (40, 61), (10, 33)])
@pytest.mark.parametrize(
    ("name", "module", "kind"),
    [
        ("CLIP", "clip", "CLIPImageProcessorPil"),
        ("DINOV2", "bit", "BitImageProcessorPil"),
        ("SIGLIP", "siglip", "SiglipImageProcessorPil"),
        ("VIT", "vit", "ViTImageProcessorPil"),
        ("CONVNEXT", "convnext", "ConvNextImageProcessorPil"),
    ],
)
def test_pixels_are_those_of_transformers_own_processor(
    name: str, module: str, kind: str, size: tuple[int, int]
) -> None:
    processors = pytest.importorskip(f"transformers.models.{module}.image_processing_pil_{module}")
    data = png(*size)
    expected = getattr(processors, kind)(**SETTINGS[name])(decode(data), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(Preprocessing.of(SETTINGS[name], name)(data), expected, atol=1e-5)


def test_what_is_not_to_be_normalised_or_rescaled_is_not() -> None:
    settings = {"size": {"height": 8, "width": 8}, "do_normalize": False}
    white = Image.new("RGB", (8, 8), "white")
    assert Preprocessing.of(settings, "m")(png(image=white)).max() == pytest.approx(1)
    assert Preprocessing.of(settings | {"do_rescale": False}, "m")(png(image=white)).max() == 255


@pytest.mark.parametrize("settings", [{}, {"size": {"longest_edge": 9}}, {"size": 24, "do_resize": False}])
def test_no_fixed_size_is_one_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="the image processor of some/model gives no fixed size of photos"):
        Preprocessing.of(settings, "some/model")
