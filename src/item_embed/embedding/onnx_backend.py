"""`OnnxBackend`: an exported model run by ONNX Runtime, without torch."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.embedding.exported import MEND, ONNX_FILE, WORDS, Exported, load_words
from item_embed.errors import ModelError
from item_embed.model.arrays import ArrayProcessor
from item_embed.model.photos import PhotoProcessor, ReadyPhoto
from item_embed.model.tokenizer import PAD
from item_embed.model.words import Words

if TYPE_CHECKING:
    from item_embed.config import Precision

# Products that go through the encoder together have so many positions at most, padding counted, or they would not stay
# in the processor's cache: at 12 x 768 five of 100 positions each take an eighth less time than 32. More products than
# so many bring nothing at any size. All are padded to the longest: so no photo keeps more than so many times the
# patches of another, and a few.
_POSITIONS, _TOGETHER, _TIMES, _FEW = 512, 32, 1.25, 4
_ERRORS_ONLY = 3  # of ONNX Runtime's own log


class OnnxBackend:
    """An exported model with its processor.

    Args:
        session: ONNX Runtime's, of `model.onnx`.
        processor: turns titles and photos into what it reads.
        path: the folder.
        exported: what the folder says of it.
        words: of the titles, where `model.onnx` reads them.

    Examples:
        >>> backend = OnnxBackend.from_pretrained("exported")  # doctest: +SKIP
        >>> Embedder(backend).embed(titles=["Red mug"])        # doctest: +SKIP
    """

    def __init__(
        self, session: Any, processor: ArrayProcessor, path: Path, exported: Exported, words: Words | None = None
    ) -> None:
        self._session = session
        self.processor = processor
        self.path = path
        self.exported = exported
        self._words = words
        self.sees = frozenset({"image", "title"} if exported.modalities == "both" else {exported.modalities})

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: str | None = None, precision: "Precision" = "fp32"
    ) -> "OnnxBackend":
        """Load what `item export` wrote.

        Args:
            path: the folder.
            device: `cpu`, which is also the default.
            precision: what it multiplies in was decided at the export: `fp32` and `auto` take it as it is.

        Raises:
            ModelError: when a file is missing or damaged, ONNX Runtime is not installed, or a device or a precision
                is asked for that an exported model has not.
        """
        folder = Path(path)
        exported = Exported.load(folder)
        if device not in {None, "cpu"}:
            raise ModelError(
                f"the exported model {folder} runs on the CPU, not on {device!r}; give no device, or the model folder "
                "that it was made from."
            )
        if precision == "bf16":
            raise ModelError(f"the exported model {folder} cannot multiply in bf16; `item export` has int8.")
        session = _session(folder / ONNX_FILE)
        words = load_words(folder) if WORDS in {given.name for given in session.get_inputs()} else None
        return cls(session, ArrayProcessor.from_pretrained(folder), folder, exported, words)

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a vector."""
        return self.exported.fingerprint

    @property
    def precision(self) -> str:
        """What its encoder multiplies in."""
        return self.exported.precision

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self.exported.dimension

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the photo as the model sees it, pixels."""
        return self.processor.image_size

    @property
    def patch_size(self) -> int:
        """Side of a square patch, pixels."""
        return self.exported.patch_size

    @property
    def photos(self) -> PhotoProcessor:
        """What makes photos ready for it."""
        return self.processor.photos

    def encode(
        self, images: Sequence[Image.Image | ReadyPhoto | None], titles: Sequence[str | None]
    ) -> NDArray[np.float32]:
        """See `Backend.encode`."""
        ids = self.processor.tokenize(titles).ids
        photos = [None if image is None else self.processor.ready(image) for image in images]
        kept = [self._kept(photo) for photo in photos]
        tokens, patches = (ids != PAD).sum(axis=1), np.array([len(numbers) for numbers in kept], np.int64)
        vectors = np.empty((len(ids), self.dimension), np.float32)
        for rows in _together(tokens, patches):
            inputs: dict[str, NDArray[Any]] = {}
            if "title" in self.sees:
                inputs["input_ids"] = ids[rows, : tokens[rows].max()]
            if self._words:
                inputs[WORDS] = self._words([titles[row] for row in rows])
            if "image" in self.sees:
                inputs |= self._photos([photos[row] for row in rows], [kept[row] for row in rows])
            (vectors[rows],) = self._session.run(None, inputs)
        return vectors

    def _kept(self, photo: ReadyPhoto | None) -> NDArray[np.int64]:
        """The patches of a photo that are encoded, by number; none without a photo."""
        if photo is None:
            return np.zeros(0, np.int64)
        return np.arange(self._patches) if photo.background is None else np.flatnonzero(~photo.background)

    def _photos(
        self, photos: Sequence[ReadyPhoto | None], kept: Sequence[NDArray[np.int64]]
    ) -> dict[str, NDArray[Any]]:
        """The photos that are there, (I, 3, height, width), and each product's patches among all of theirs, (B, N)."""
        index = np.full((len(kept), max(1, *map(len, kept))), -1, np.int64)
        present = [row for row, photo in enumerate(photos) if photo is not None]
        for number, row in enumerate(present):
            index[row, : len(kept[row])] = number * self._patches + kept[row]
        # No input is ever empty: where no product has a photo, there is a white one that none of them looks at.
        pixels = [photo.pixels for photo in photos if photo is not None] or [self.processor.pixels(None)]
        return {"pixel_values": np.stack(pixels), "patch_index": index}

    @property
    def _patches(self) -> int:
        """Patches of a photo."""
        height, width = self.image_size
        return (height // self.patch_size) * (width // self.patch_size)


def _together(tokens: NDArray[np.int64], patches: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Products by number, in groups of similar length.

    Args:
        tokens: of each product's title, (B,).
        patches: of its photo, (B,).
    """
    order = np.lexsort((tokens, patches))
    start = 0
    while start < len(order):
        rows = order[start : start + _TOGETHER]
        rows = rows[patches[rows] <= patches[rows[0]] * _TIMES + _FEW]  # the first ones, since they are sorted
        longest = patches[rows] + np.maximum.accumulate(tokens[rows])  # of the first 1, 2, …
        padded = longest * np.arange(1, len(rows) + 1)
        rows = rows[: max(1, int(np.searchsorted(padded, _POSITIONS, side="right")))]
        yield rows
        start += len(rows)


def _session(file: Path) -> Any:
    """ONNX Runtime's session of a file.

    Raises:
        ModelError: when it is missing or damaged, or ONNX Runtime is not installed.
    """
    if not file.is_file():
        raise ModelError(f"{file} is missing; {MEND}.")
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(
            f"{file.parent} holds an exported model, which ONNX Runtime runs; run: pip install onnxruntime."
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    threads = os.environ.get("OMP_NUM_THREADS", "")  # what torch heeds, too
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0  # 0: one for each core
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no other common base
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{file} cannot be loaded ({reason}); {MEND}.") from None
