"""Datasets of the Hugging Face hub as feeds, through the `datasets` library, which is imported only for them."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from item_embed.catalog.feeds import parquet
from item_embed.catalog.feeds.places import FeedFile
from item_embed.catalog.feeds.records import Record
from item_embed.errors import FeedError, installing
from item_embed.remote.places import reason

_OPTIONS = ("config", "split", "revision")
_LARGEST_PHOTO = 64 << 20  # bytes


@dataclass(frozen=True)
class HubSplit:
    """One split of a dataset, read as a file of a feed is.

    Attributes:
        file: what stands for it.
        columns: their names.
        size: how many rows it has.
        read: yields its rows but the first so many.
    """

    file: FeedFile
    columns: tuple[str, ...]
    size: int
    read: Callable[[int], Iterator[Record]]


def is_hub(source: str) -> bool:
    """Whether a source is `hf:NAME`; `hf://…` is a URL of files, which fsspec reads."""
    return source.startswith("hf:") and not source.startswith("hf://")


def open_hub(source: str) -> list[HubSplit]:
    """Load a dataset: from the library's cache, or downloaded into it once.

    Labels become their names, images stay the bytes they are. Without a split all are read, in the dataset's order.

    Args:
        source: `hf:owner/name` or `hf:folder`, and where needed `?split=train&config=default&revision=main`.

    Raises:
        FeedError: when the library is missing, or there is no such dataset, split or option.
    """
    name, options = _parsed(source)
    datasets = _library(source)
    with _quiet(datasets):
        try:
            loaded = datasets.load_dataset(
                name, options.get("config"), split=options.get("split"), revision=options.get("revision")
            )
        except Exception as error:  # the hub, the network, the files: each has its own
            raise FeedError(f"{source} cannot be loaded: {_why(error)}.") from None
    if not isinstance(loaded, dict):
        loaded = {options["split"]: loaded}
    home = Path(name).resolve() if Path(name).is_dir() else None
    return [_split(name, options, split, dataset, home) for split, dataset in loaded.items()]


def _parsed(source: str) -> tuple[str, dict[str, str]]:
    name, _, query = source.removeprefix("hf:").partition("?")
    pairs = (part.partition("=") for part in query.split("&") if part)
    options = {key: unquote(value) for key, _, value in pairs if value}  # a plus stays: train+test is a split
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown or (query and not options):
        raise FeedError(
            f"{source} has an unknown option {unknown[0] if unknown else query!r}; "
            f"write it as hf:owner/name?split=train, with any of {', '.join(_OPTIONS)}."
        )
    if not name:
        raise FeedError("hf: needs the name of a dataset: hf:owner/name, or hf:folder.")
    return name, options


def _library(source: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise FeedError(f"{source} needs the datasets library; {installing('hf')}.") from None
    return datasets


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Keep its log off the screen, and its bars where nobody watches."""
    bars, level = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def _why(error: BaseException) -> str:
    while error.__cause__ is not None and type(error).__name__.startswith("DatasetGeneration"):
        error = error.__cause__
    if isinstance(error, FileNotFoundError):  # the reason() of files would leave out which
        return (str(error).strip().splitlines() or ["there is no such dataset"])[0].rstrip(". ")
    return reason(error)


def _split(name: str, options: dict[str, str], split: str, dataset: Any, home: Path | None) -> HubSplit:
    query = urlencode({**options, "split": split}, safe="[]:+/")
    file = FeedFile(f"hf:{name}?{query}", str(dataset._fingerprint), is_local=False)
    columns = tuple(dataset.column_names)
    return HubSplit(file, columns, len(dataset), partial(_read, dataset, home))


def _read(dataset: Any, home: Path | None, skip: int) -> Iterator[Record]:
    """The rows of a split, from Arrow batches that always begin at the same rows."""
    start = skip // parquet.BATCH * parquet.BATCH
    finish = {name: _finisher(feature, _roots(home)) for name, feature in dataset.features.items()}
    changed = {name: function for name, function in finish.items() if function is not None}
    rest = dataset.select(range(start, len(dataset))).with_format("arrow")
    for table in rest.iter(batch_size=parquet.BATCH):
        for record in parquet.records(table.column_names, table.columns, skip - start):
            for name, function in changed.items():
                record.values[name] = function(record.values[name])
            yield record
        start = skip = 0


def _finisher(feature: Any, roots: tuple[Path, ...]) -> Callable[[Any], Any] | None:
    """What turns a stored value into what it stands for, or None where it is that already."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return partial(_label, feature.names)
    if isinstance(feature, datasets.Image):
        return partial(_with_bytes, roots)
    if isinstance(feature, list):
        feature = datasets.List(feature[0])
    if isinstance(feature, datasets.List | datasets.LargeList):
        inner = _finisher(feature.feature, roots)
        return None if inner is None else partial(_each, inner)
    return None


def _label(names: list[str], value: Any) -> str | None:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _each(function: Callable[[Any], Any], values: Any) -> Any:
    return [function(value) for value in values] if isinstance(values, list) else values


def _with_bytes(roots: tuple[Path, ...], value: Any) -> Any:
    """An image that is only a path gets its bytes, where the file belongs to the dataset."""
    if not isinstance(value, dict) or value.get("bytes") is not None or not value.get("path"):
        return value
    with contextlib.suppress(OSError, ValueError):
        path = (roots[0] / value["path"]).resolve()
        inside = any(path.is_relative_to(root) for root in roots)
        if inside and path.is_file() and path.stat().st_size <= _LARGEST_PHOTO:
            return {**value, "bytes": path.read_bytes()}
    return value


def _roots(home: Path | None) -> tuple[Path, ...]:
    """The folders whose files a dataset may show: its own, and the library's caches."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    caches = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, HF_HUB_CACHE)
    return tuple(Path(folder).resolve() for folder in (home, *caches) if folder is not None)
