"""A feed, or a file of queries, whose photos are cropped to their salient region: what region crops are worth.

    python benchmarks/cropping.py feed.parquet cropped.parquet

The region is that of the spectral residual (Hou and Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR
2007), a classical method without training: the smallest box that holds all that is at least three times as salient as
the photo's mean, with a margin of a twentieth of its sides. A photo of which nothing stands out stays whole. Cropped
photos are encoded again as PNG, so that nothing but the crop differs; `item prepare` then treats them as any others,
and an encoder that scales photos to one size sees a cropped one at the same cost as a whole one.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

_SIDE = 64  # of the grey photo whose spectrum is taken, as in the paper
_SALIENT = 3.0  # times the mean, as in the paper
_BLUR = 2.5  # standard deviation in pixels of that photo
_MARGIN = 0.05


def main() -> None:
    """Crop the photos of a Parquet file's column `image`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    table = pq.ParquetFile(arguments.source).read()
    photos, shares = [], []
    for data in table["image"].to_pylist():
        cropped, share = (None, None) if data is None else crop(data)
        photos.append(cropped)
        shares.append(share)
    place = table.column_names.index("image")
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    aside = arguments.target.with_name(f"{arguments.target.name}.partial")
    pq.write_table(table.set_column(place, "image", pa.array(photos, pa.binary())), aside)
    aside.rename(arguments.target)
    kept = np.array([share for share in shares if share is not None])
    print(
        f"{len(kept):,} photos; the region takes {kept.mean():.2f} of a photo's area on average, "
        f"{(kept == 1).mean():.2f} of the photos are left whole"
    )


def crop(photo: bytes) -> tuple[bytes, float]:
    """An encoded photo cropped to its salient region, and the share of its area that this is."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    box = region(image)
    file = io.BytesIO()
    image.crop(box).save(file, "PNG")
    left, top, right, bottom = box
    return file.getvalue(), (right - left) * (bottom - top) / (image.width * image.height)


def region(image: Image.Image) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what stands out, in pixels; the whole photo where nothing does."""
    salient = saliency(image)
    rows, columns = (np.flatnonzero((salient >= _SALIENT * salient.mean()).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, image.width, image.height
    (left, right), (top, bottom) = (
        _stretched(int(places[0]), int(places[-1]) + 1, side)
        for places, side in ((columns, image.width), (rows, image.height))
    )
    return left, top, right, bottom


def saliency(image: Image.Image) -> NDArray[np.float64]:
    """(64, 64) how far each place stands out: the spectrum's logarithm minus its local mean, back in space."""
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    spectrum = np.fft.fft2(grey)
    amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = np.exp(amplitude - uniform_filter(amplitude, 3, mode="wrap") + 1j * np.angle(spectrum))
    return np.asarray(gaussian_filter(np.abs(np.fft.ifft2(residual)) ** 2, _BLUR), np.float64)


def _stretched(first: int, last: int, side: int) -> tuple[int, int]:
    """A range of the small photo's pixels as one of the whole photo's, with its margin."""
    margin = _MARGIN * (last - first)
    return max(0, int((first - margin) * side / _SIDE)), min(side, int(np.ceil((last + margin) * side / _SIDE)))


if __name__ == "__main__":
    main()
