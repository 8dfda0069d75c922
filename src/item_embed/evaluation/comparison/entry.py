"""One method of a comparison with one seed: trained, measured and kept in a folder of its own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.measured import Measured, read_measured, write_measured
from item_embed.files import whole_file

_MEASURED, _ENTRY = "measured.parquet", "entry.json"


@dataclass(frozen=True)
class Facts:
    """What a table tells of a method beside its figures.

    Attributes:
        sees: what of a product it makes a vector of.
        labels: whether it learnt from category labels.
        parameters: of what makes vectors; None where there are none, as in TF-IDF.
        samples: pairs, photos or titles seen in training; 0 where nothing was trained.
        minutes: of training, by the clock on the wall.
        cpu_minutes: of training, all threads.
        note: what a reader should know of it.
    """

    sees: Modalities
    labels: bool = False
    parameters: int | None = None
    samples: int = 0
    minutes: float = 0.0
    cpu_minutes: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A method, a seed and what came out.

    Attributes:
        method: its name on the command line.
        seed: it was trained with; 0 where nothing is drawn.
        facts: what else a table tells.
        measured: its figures.
    """

    method: str
    seed: int
    facts: Facts
    measured: Measured


def write_entry(folder: Path, entry: Entry) -> None:
    """Keep an entry; the folder holds one when its `entry.json` is there."""
    write_measured(folder / _MEASURED, entry.measured)
    told = {"method": entry.method, "seed": entry.seed, **asdict(entry.facts)}
    with whole_file(folder / _ENTRY) as aside:
        aside.write_text(json.dumps(told, indent=2) + "\n", encoding="utf8")


def read_entry(folder: Path) -> Entry | None:
    """The entry of a folder; None where it holds none yet.

    Raises:
        ConfigError: when it is damaged.
    """
    path = folder / _ENTRY
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf8"))
        method, seed = str(told.pop("method")), int(told.pop("seed"))
        facts = Facts(**told)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); remove it, and its method is measured again.") from None
    return Entry(method, seed, facts, read_measured(folder / _MEASURED))
