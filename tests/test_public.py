"""The names that users build on. This file is type-checked: a change that breaks it breaks them."""

import subprocess
import sys
from pathlib import Path

import pytest
from numpy import float32
from numpy.typing import NDArray
from PIL import Image

import item_embed
from item_embed import Catalog, Embedder, ItemConfig, ItemModel, ItemProcessor, ProductIndex

NAMES = ["Catalog", "Embedder", "ItemConfig", "ItemModel", "ItemProcessor", "ProductIndex", "__version__"]


def test_the_public_names() -> None:
    assert item_embed.__all__ == NAMES
    assert dir(item_embed) == sorted(NAMES)
    for name in NAMES[:-1]:
        value = getattr(item_embed, name)
        assert value.__name__ == name
        assert value.__doc__
    assert item_embed.__version__.count(".") == 2


def test_no_other_name() -> None:
    with pytest.raises(AttributeError, match="module 'item_embed' has no attribute 'Embeder'"):
        _ = item_embed.Embeder


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, item_embed; print(*({'torch', 'transformers', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def newcomer(model: str, index: Path, catalog: str) -> list[str]:
    """What a user writes; never run, always type-checked."""
    embedder = Embedder.from_pretrained(model)
    vectors: NDArray[float32] = embedder.embed(
        images=["mug.jpg", Path("cup.png"), Image.new("RGB", (9, 9)), b"", None],
        titles=["Red mug", None, "", "Blue mug", "Cup"],
    )
    assert vectors.shape[1] == embedder.dimension
    (hits,) = ProductIndex.open(index).search(embedder.embed(titles=["mug"]), 10, embedder.fingerprint)
    return [f"{hit.score:.2f} {hit.title}" for hit in hits] + Catalog(catalog).ids


def test_the_architecture_is_usable_alone() -> None:
    config = ItemConfig(image_size=(32, 32), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    assert ItemModel(config).config is config
    assert callable(ItemProcessor.from_pretrained)
