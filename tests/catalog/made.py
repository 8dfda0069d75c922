"""Small feeds and photos, for tests of what reads them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image


def pixels(width: int = 24, height: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture that differs by seed, (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def picture(width: int = 24, height: int = 32, seed: int = 0) -> Image.Image:
    """The same as an image."""
    return Image.fromarray(pixels(width, height, seed))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows with the columns of the first."""
    with path.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def kept_rows(catalog: Path) -> list[dict[str, Any]]:
    """All rows of a catalogue, in order."""
    files = sorted((catalog / "rows").iterdir())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def rejected_rows(catalog: Path) -> list[dict[str, Any]]:
    """The rows that a catalogue set aside."""
    rows: list[dict[str, Any]] = pq.read_table(catalog / "rejected.parquet").to_pylist()
    return rows
