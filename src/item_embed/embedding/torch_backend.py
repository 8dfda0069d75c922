"""`TorchBackend`: a model of `item pretrain` run by torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from item_embed.config import Background, Precision
from item_embed.errors import ModelError
from item_embed.model.encoder import ItemModel
from item_embed.model.encoding import unit_vectors, vectors_by_sight
from item_embed.model.folder import fingerprint
from item_embed.model.photos import ReadyPhoto
from item_embed.model.precision import choose_precision
from item_embed.model.processor import ItemProcessor, TorchPhotoProcessor
from item_embed.model.storage import load_model
from item_embed.model.whitening import Whitening


class TorchBackend:
    """A trained model with its processor.

    Args:
        model: the encoder.
        processor: the one it was trained with.
        path: the model's folder.
        fingerprint: hash of what decides a vector: weights, configuration, tokenizer, image size, whitening.
        device: a torch device; by default a GPU where there is one.
        whitening: of the model's vectors; None: they are h_CLS as it is.
        precision: what the encoder multiplies in. bf16 is faster where the processor has it, and turns a vector by a
            cosine of about 0.99999, a whitened one 0.9999; auto: bf16 there. The vectors are float32 in any case.

    Examples:
        >>> backend = TorchBackend.from_pretrained("run/model")  # doctest: +SKIP
        >>> Embedder(backend).embed(titles=["Red mug"])          # doctest: +SKIP
    """

    sees = frozenset({"image", "title"})

    def __init__(
        self,
        model: ItemModel,
        processor: ItemProcessor,
        path: Path,
        fingerprint: str,
        device: str | None = None,
        *,
        precision: Precision = "fp32",
        whitening: Whitening | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.precision = choose_precision(precision, self.device)
        self.model: ItemModel = model.train(False).to(self.device)
        self.processor = processor
        self.path = path
        self.fingerprint = fingerprint
        self.whitening = None if whitening is None else whitening.to(self.device)

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: str | None = None, precision: Precision = "fp32"
    ) -> "TorchBackend":
        """Load a model folder, `RUN/model` of `item pretrain`; see `Embedder.from_pretrained`.

        Raises:
            ModelError: when a file is missing or damaged, or there is no such device.
        """
        folder = Path(path)
        model, whitening = load_model(folder, ItemModel), Whitening.load(folder)
        processor, made_by = ItemProcessor.from_pretrained(folder), fingerprint(folder)
        try:
            return cls(model, processor, folder, made_by, device, precision=precision, whitening=whitening)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without CUDA
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"the model {folder} cannot be put on the device {device!r}: {reason}.") from None

    def unwhitened(self) -> "TorchBackend":
        """The same, but for its whitening; its vectors compare with none of this one's."""
        made_by = f"{self.fingerprint}, not whitened"
        return TorchBackend(self.model, self.processor, self.path, made_by, str(self.device), precision=self.precision)

    @property
    def background(self) -> Background:
        """Whether empty patches of photos are encoded."""
        return "keep" if self.processor.background_patch_size is None else "drop"

    def with_background(self, background: Background) -> "TorchBackend":
        """The same, but for whether empty patches are encoded; where that changes, its vectors compare with no others.

        Args:
            background: `keep` or `drop`.
        """
        if background == self.background:
            return self
        own = self.processor
        side = self.patch_size if background == "drop" else None
        processor = ItemProcessor(own.tokenizer, own.image_size, own.max_title_tokens, side)
        return TorchBackend(
            self.model,
            processor,
            self.path,
            f"{self.fingerprint}, background={background}",
            str(self.device),
            precision=self.precision,
            whitening=self.whitening,
        )

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.model.config.hidden_size) if self.whitening is None else self.whitening.dimension

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the photo as the model sees it, pixels."""
        return self.processor.image_size

    @property
    def patch_size(self) -> int:
        """Side of a square patch, pixels."""
        return int(self.model.config.patch_size)

    @property
    def photos(self) -> TorchPhotoProcessor:
        """What makes photos ready for it."""
        return self.processor.photos

    @torch.inference_mode()
    def encode(
        self, images: Sequence[Image.Image | ReadyPhoto | None], titles: Sequence[str | None]
    ) -> NDArray[np.float32]:
        """See `Backend.encode`."""
        encode = vectors_by_sight if self.whitening is not None and self.whitening.fuses else unit_vectors
        vectors = encode(self.model, self.processor, images, titles, self.precision)
        if self.whitening is not None:
            photo = torch.tensor([image is not None for image in images], dtype=torch.bool, device=self.device)
            vectors = self.whitening(vectors, photo, titles)
        whole: NDArray[np.float32] = vectors.cpu().numpy()
        return whole
