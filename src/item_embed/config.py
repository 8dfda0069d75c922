"""The configuration of a pre-training run: validated data, read from YAML and `key=value` overrides.

    model:         the architecture
    objectives:    the tasks, their weights, and how inputs are masked and mismatched
    augmentation:  photos changed at random before they are masked
    warm_start:    checkpoints of BERT or ViT to begin with
    training:      the optimiser and the loop
    whitening:     what is done to vectors once the model is trained

The shipped configurations lie in `configs/`; a name such as `tiny` means `configs/tiny.yaml`.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from item_embed.errors import ConfigError

# libyaml, where PyYAML was built with it, takes a quarter of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

#: The tasks of ITEm, on masked pairs, and ours, on two views of a product; in the order in which they are reported.
MASKED_TASKS = ("itm", "mlm", "mim", "gmlm", "gmim")
OBJECTIVES = (*MASKED_TASKS, "agreement")

#: What a processor multiplies in; `auto` is bf16 where it has it.
Precision = Literal["auto", "fp32", "bf16"]

#: What becomes of a photo's empty patches: `drop` does not encode them.
Background = Literal["keep", "drop"]

#: Of the numbers of a late fusion, the words' share.
WORDS_SHARE = (3, 8)

_Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(_Settings):
    """The architecture of the encoder."""

    image_size: tuple[int, int] = Field((224, 224), description="height and width of the photo, pixels")
    patch_size: int = Field(16, ge=1, description="side of a square patch, pixels")
    hidden_size: int = Field(768, ge=1)
    num_hidden_layers: int = Field(12, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    intermediate_size: int = Field(3072, ge=1)
    vocab_size: int = Field(
        30_000,
        ge=64,
        description="most tokens of the trained vocabulary; every letter of the titles is kept, even past it; "
        "the default where the vocabulary comes with warm_start.text_embeddings",
    )
    max_title_tokens: int = Field(32, ge=3, description="[CLS], title and [SEP] together")
    dropout: float = Field(0.1, ge=0, lt=1)
    norm_position: Literal["pre", "post"] = Field(
        "pre",
        description="where blocks norm: before attention and MLP (ViT), or after their sums with the input (BERT)",
    )
    background: Background = Field("keep", description="drop: empty patches of a photo are not encoded")
    patch_embedding: Literal["linear", "convolutional"] = Field(
        "linear", description="what makes a vector of a patch: a linear map of its pixels, or convolutions of the photo"
    )

    @property
    def patches(self) -> int:
        """Patches in a photo."""
        height, width = self.image_size
        return (height // self.patch_size) * (width // self.patch_size)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(side < self.patch_size or side % self.patch_size for side in self.image_size):
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.background == "drop" and self.patches == 1:
            raise ValueError("background=drop needs photos of more than one patch: enlarge image_size")
        if self.patch_embedding == "convolutional":
            if self.patch_size < 2 or self.patch_size.bit_count() > 1:
                raise ValueError(
                    f"patch_embedding=convolutional halves photos: patch_size is 2, 4, 8, ..., not {self.patch_size}"
                )
            if self.hidden_size % (self.patch_size // 2):
                raise ValueError(
                    f"patch_embedding=convolutional halves widths: hidden_size {self.hidden_size} is not a multiple of "
                    f"patch_size / 2, {self.patch_size // 2}"
                )
        return self


class ObjectiveWeights(_Settings):
    """The weight of each task's loss; 0 switches the task off, and it then has no head."""

    itm: float = Field(1.0, ge=0)
    mlm: float = Field(1.0, ge=0)
    mim: float = Field(10.0, ge=0)
    gmlm: float = Field(1.0, ge=0)
    gmim: float = Field(10.0, ge=0)
    agreement: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not self.active():
            raise ValueError("every objective has weight 0; give at least one a weight")
        return self

    def active(self) -> dict[str, float]:
        """The tasks that are switched on, with their weights."""
        return {name: weight for name in OBJECTIVES if (weight := getattr(self, name)) > 0}


class AgreementSettings(_Settings):
    """Two views of each product, changed at random, whose vectors are to agree."""

    temperature: float = Field(0.05, gt=0, description="cosines are divided by it")
    shares: tuple[float, float, float] = Field(
        (0.5, 0.3, 0.2), description="of pairs whose views show photo and title, the photo alone, the title alone"
    )
    photo_change: float = Field(1.0, ge=0, le=2, description="how much photos are changed; 0: not at all")
    title_change: float = Field(1.0, ge=0, le=2, description="how much titles are changed; 0: not at all")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares {self.shares} are not shares that add up to 1")
        return self


class ObjectiveSettings(_Settings):
    """What the tasks predict, and from what."""

    weights: ObjectiveWeights = ObjectiveWeights()
    token_mask_rate: float = Field(0.4, gt=0, lt=1, description="share of a title's tokens to predict")
    token_corruption: tuple[float, float, float] = Field(
        (0.5, 0.1, 0.4), description="of those: shares shown as [MASK], as a random token, unchanged"
    )
    patch_mask_rate: float = Field(0.5, gt=0, lt=1, description="share of a photo's patches to predict")
    patch_masking: Literal["keep", "drop"] = Field(
        "keep", description="keep: the encoder sees a mask vector in place of a masked patch; drop: nothing (MAE)"
    )
    patch_target: Literal["raw", "normalized"] = Field("raw", description="pixels, or pixels normalised per patch")
    patch_loss: Literal["l1", "l2"] = "l2"
    mismatch_rate: float = Field(0.25, ge=0, lt=1, description="share of pairs shown with another row's photo")
    itm_input: Literal["masked", "whole"] = Field(
        "masked", description="what ITM judges; whole: pairs with nothing masked, for a second encoder pass"
    )
    global_head: Literal["span", "linear", "conditioned"] = Field(
        "span", description="how GMLM and GMIM join [CLS] and position: by an MLP, a sum, or FiLM"
    )
    agreement: AgreementSettings = AgreementSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.token_corruption) < 0 or abs(sum(self.token_corruption) - 1) > 1e-6:
            raise ValueError(f"token_corruption {self.token_corruption} are not shares that add up to 1")
        if self.weights.itm and not self.mismatch_rate:
            raise ValueError("itm needs mismatched pairs: give mismatch_rate a share above 0, or weights.itm 0")
        return self


class AugmentationSettings(_Settings):
    """How photos are changed at random before they are masked; by default, as in the paper, not at all."""

    mirror: float = Field(0.0, ge=0, le=1, description="probability that a photo is mirrored, left to right")
    scale: float = Field(
        1.0, gt=0, le=1, description="smallest share of a photo's area that is kept; it also shrinks as much; 1: off"
    )
    brightness: _Share = Field(0.0, description="colours are multiplied by 1 - this to 1 + this")
    contrast: _Share = Field(0.0, description="so are their differences from the photo's mean grey")
    saturation: _Share = Field(0.0, description="and those from each pixel's grey")

    @property
    def on(self) -> bool:
        """Whether any photo is changed."""
        return self != AugmentationSettings()


class WarmStartSettings(_Settings):
    """Weights to begin with: each from a checkpoint of transformers, by its folder or its name on the hub."""

    blocks: str | None = Field(None, min_length=1, description="of bert, roberta, xlm-roberta, vit or vit_mae")
    text_embeddings: str | None = Field(
        None, min_length=1, description="of bert, roberta or xlm-roberta, with their tokenizer"
    )
    patch_embedding: str | None = Field(None, min_length=1, description="of vit or vit_mae")

    @property
    def on(self) -> bool:
        """Whether anything is taken."""
        return self != WarmStartSettings()


class TrainingSettings(_Settings):
    """The optimiser and the loop."""

    seed: int = Field(0, ge=0)
    steps: int = Field(100_000, ge=1)
    batch_size: int = Field(512, ge=1, description="pairs per optimiser step")
    accumulation: int = Field(1, ge=1, description="parts that a batch is computed in, one after the other")
    activation_checkpointing: bool = Field(
        False, description="blocks are computed again on the way back, so that a GPU holds a larger part"
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="full: of weights, gradients and the optimiser's state each of several processes holds a share",
    )
    learning_rate: float = Field(5e-4, gt=0)
    warmup_steps: int = Field(2_000, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[_Share, _Share] = (0.9, 0.98)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Precision = Field("auto", description="auto: bf16 where the processor has it")
    log_every: int = Field(50, ge=1)
    validate_every: int = Field(1_000, ge=1)
    validation_rows: int = Field(2_048, ge=1)
    checkpoint_every: int = Field(1_000, ge=1)
    workers: int = Field(0, ge=0, description="processes that prepare batches; 0: the training process itself")
    pixel_cache_mb: int = Field(1_024, ge=0, description="decoded photos are kept in memory if all of them fit")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}")
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} leaves none of the {self.steps} steps to train: lower it too"
            )
        return self


class WhiteningSettings(_Settings):
    """How vectors are whitened, by those of rows that were trained on."""

    power: float = Field(
        0.0,
        ge=0,
        le=1,
        description="directions are divided by this power of their spread; 0: they are left as wide as they are",
    )
    late_fusion: bool = Field(
        False,
        description="a vector joins what the encoder gives of a product, of its photo alone and of its title alone, "
        "and the title's words",
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        description="numbers of a vector that are kept; by default as many as the encoder gives, or at most 256 "
        "of late fusion, three eighths of which are the words'",
    )
    rows: int = Field(4_096, ge=16, description="most rows whose vectors are looked at")


class RunConfig(_Settings):
    """Everything that decides a pre-training run, besides the catalogue."""

    model: ModelSettings = ModelSettings()
    objectives: ObjectiveSettings = ObjectiveSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    training: TrainingSettings = TrainingSettings()
    whitening: WhiteningSettings = WhiteningSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        whitening, width = self.whitening, self.model.hidden_size
        most = most_fused(width) if whitening.late_fusion else width
        if (whitening.dimensions or 0) > most:
            raise ValueError(
                f"whitening.dimensions {whitening.dimensions} is more than the {most} numbers that there are"
            )
        if whitening.dimensions and not (whitening.power or whitening.late_fusion):
            raise ValueError("whitening.dimensions does nothing while whitening.power is 0: give a power, such as 0.75")
        if self.warm_start.patch_embedding and self.model.patch_embedding != "linear":
            raise ValueError(
                "warm_start.patch_embedding gives a linear map of patches: set model.patch_embedding to linear"
            )
        if self.objectives.patch_masking == "drop" and self.model.patches == 1:
            raise ValueError("objectives.patch_masking=drop needs photos of more than one patch: enlarge image_size")
        if self.objectives.weights.agreement and self.training.batch_size == self.training.accumulation:
            raise ValueError("agreement tells a product from the others of its part of the batch, and parts are of one")
        return self

    @classmethod
    def load(cls, source: str | Path, overrides: Sequence[str] = ()) -> "RunConfig":
        """Read a shipped configuration by name, or a YAML file, and apply overrides.

        Args:
            source: a name (`tiny`, `search`, `small`, `base`, `paper`) or the path of a YAML file.
            overrides: settings such as `training.steps=200` or `objectives.weights.mlm=0`; values are YAML.

        Raises:
            ConfigError: naming the file or the option, and what is wrong with it.

        Examples:
            >>> RunConfig.load("tiny", ["training.seed=3"]).training.seed
            3
        """
        path = _find(source)
        try:
            data = yaml.load(path.read_text(encoding="utf8"), _Loader) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{path} does not hold a mapping of {', '.join(cls.model_fields)}.")
        data = {name: group for name, group in data.items() if group is not None}  # a heading with nothing under it
        for override in overrides:
            _apply(data, override)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"configuration {source}: {_sentence(error)}.") from None

    def save(self, path: Path) -> None:
        """Write the configuration as YAML."""
        path.write_text(yaml.dump(self.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False), encoding="utf8")


def most_fused(width: int) -> int:
    """The most numbers that a late fusion has: all of three vectors of so many numbers, and the words' share."""
    words, of = WORDS_SHARE
    return 3 * width * of // (of - words)


def shipped_configs() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    package = Path(__file__).parent
    candidates = (package / "configs", package.parents[1] / "configs")  # installed; a checkout
    folder = next((c for c in candidates if c.is_dir()), candidates[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _names(settings: type[BaseModel], before: str = "") -> list[str]:
    """Every setting, such as `training.steps`, outer ones first."""
    inner = {name: field.annotation for name, field in settings.model_fields.items()}
    groups = {name: kind for name, kind in inner.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    names = [f"{before}{name}" for name in inner]
    return [*names, *(one for name, kind in groups.items() for one in _names(kind, f"{before}{name}."))]


_NAMES = _names(RunConfig)


def _find(source: str | Path) -> Path:
    shipped = shipped_configs()
    if str(source) in shipped:
        return shipped[str(source)]
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"there is no configuration {source!s}: give a YAML file, or one of {', '.join(shipped)}.")
    return path


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r} is no setting: write it as key=value, for example training.steps=200.")
    *parents, last = key.split(".")
    for parent in parents:
        child = data.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{override!r}: {parent} is a value, not a group of settings.")
        data = child
    try:
        data[last] = yaml.load(_yaml_float(value), _Loader)
    except (yaml.YAMLError, UnicodeEncodeError):  # libyaml takes no half characters
        raise ConfigError(f"{override!r}: {value!r} is not a YAML value.") from None


def _yaml_float(value: str) -> str:
    # YAML 1.1 reads 5e-4 as a string; people mean the number.
    try:
        return repr(float(value)) if "e" in value.lower() else value
    except ValueError:
        return value


def _sentence(error: ValidationError) -> str:
    def one(problem: Mapping[str, Any]) -> str:
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            last = f".{where.rpartition('.')[2]}"
            others = [name for name in _NAMES if not where.startswith(name)]  # a group that it is in, is not meant
            meant = [name for name in others if name.endswith(last)] or get_close_matches(where, others, cutoff=0.85)
            return f"there is no setting {where}" + (f"; do you mean {meant[0]}?" if meant else "")
        message = problem["msg"].removeprefix("Value error, ")
        given = f" (given: {problem['input']!r})" if where and not isinstance(problem["input"], dict) else ""
        return f"{where}: {message}{given}" if where else message

    return "; ".join(one(problem) for problem in error.errors())
