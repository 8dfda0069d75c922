"""`benchmarks/cropping.py`: the region that is kept is where something stands out."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import cropping  # noqa: E402


def photo(box: tuple[int, int, int, int] | None, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """Something patterned in a box, on white."""
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    if box is not None:
        left, top, right, bottom = box
        pixels[top:bottom, left:right] = np.random.default_rng(0).integers(0, 200, (bottom - top, right - left, 3))
    return Image.fromarray(pixels)


@pytest.mark.parametrize("box", [(20, 20, 60, 70), (70, 90, 110, 150)])
def test_the_region_holds_what_stands_out_and_little_else(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = cropping.region(photo(box))
    assert left <= box[0] + 4
    assert top <= box[1] + 4
    assert right >= box[2] - 4
    assert bottom >= box[3] - 4
    assert (right - left) * (bottom - top) < 0.5 * 120 * 160


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (120, 160)])
def test_an_empty_photo_stays_whole(size: tuple[int, int]) -> None:
    left, top, right, bottom = cropping.region(photo(None, size))
    assert right > left >= 0
    assert bottom > top >= 0
    assert (right - left) * (bottom - top) <= size[0] * size[1]


def test_a_feed_is_cropped_photo_by_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    photo((20, 20, 60, 70)).save(file, "PNG")
    feed = pa.table(
        {"item_id": ["a", "b"], "image": pa.array([file.getvalue(), None], pa.binary()), "title": ["x", "y"]}
    )
    pq.write_table(feed, tmp_path / "feed.parquet")
    arguments = [str(tmp_path / "feed.parquet"), str(tmp_path / "cropped.parquet")]
    monkeypatch.setattr(sys, "argv", ["cropping.py", *arguments])
    cropping.main()
    found = pq.ParquetFile(tmp_path / "cropped.parquet").read()
    assert found.drop_columns("image").equals(feed.drop_columns("image"))
    cropped, absent = found["image"].to_pylist()
    assert absent is None
    left, top, right, bottom = cropping.region(photo((20, 20, 60, 70)))
    assert Image.open(io.BytesIO(cropped)).size == (right - left, bottom - top)
    assert capsys.readouterr().out.startswith("1 photos; the region takes 0.")
