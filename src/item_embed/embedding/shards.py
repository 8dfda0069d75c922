"""`Shards`: the finished parts of a long embedding, beside its output, so that a run that ends early is gone on with.

OUT.parts/job.json        what is being embedded, by what
OUT.parts/000003.parquet  the vectors of one shard of rows, a file of vectors like any other

The output may lie in an object store, and its shards then lie there too.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import Vectors, read_vectors, write_vectors
from item_embed.errors import VectorError
from item_embed.files import OutputError, locked, whole_bytes
from item_embed.remote.places import MissingError, Remote, place
from item_embed.remote.writing import names_in, remove
from item_embed.wording import number_of

if TYPE_CHECKING:  # the embedder brings its backends
    from item_embed.embedding.embedder import Embedder

SHARD_ROWS = 4096  # of a shard: a killed run loses no more, and 20 million rows are 5,000 files
_JOB_FILE = "job.json"
_SHARD = re.compile(r"(\d{6})\.parquet")
_OURS = re.compile(r"\.?(job\.json|\d{6}\.parquet)(\.item-\w+)?")  # what a killed run left half-written, too
_DIFFERS = {  # in what two jobs can differ, and how a person would say it
    "fingerprint": "by another model",
    "catalog": "of another catalogue, or of this one before it changed",
    "modalities": "of other --modalities",
    "precision": "in another --precision",
}


@dataclass(frozen=True)
class Job:
    """What an embedding makes: the shards of equal jobs belong together.

    Attributes:
        fingerprint: of the model.
        catalog: the catalogue's fingerprint.
        modalities: what the model sees of the products.
        precision: what the encoder multiplies in.
        rows: of the catalogue.
        shard_rows: of each shard but the last.
    """

    fingerprint: str
    catalog: str
    modalities: Modalities
    precision: str
    rows: int
    shard_rows: int = SHARD_ROWS

    @classmethod
    def of(
        cls, embedder: "Embedder", catalog: Catalog, modalities: Modalities = "both", shard_rows: int = SHARD_ROWS
    ) -> "Job":
        """The job of embedding a whole catalogue."""
        made = (embedder.fingerprint, catalog.fingerprint, modalities, embedder.precision)
        return cls(*made, rows=len(catalog), shard_rows=shard_rows)

    def __len__(self) -> int:
        """How many shards it takes; of no rows one, which says who made it."""
        return max(1, -(-self.rows // self.shard_rows))

    def shard(self, number: int) -> range:
        """The rows of a shard.

        Examples:
            >>> Job("f", "c", "both", "fp32", rows=10, shard_rows=4).shard(2)
            range(8, 10)
        """
        start = number * self.shard_rows
        return range(start, min(start + self.shard_rows, self.rows))


class Shards:
    """The shards of a job that are finished, in a folder beside the output.

    A shard is whole or not there. Several processes may write shards of one job, each its own.

    Args:
        out: the output, a file of vectors, or its fsspec URL; the folder is named after it.
        job: what is being made.

    Examples:
        >>> shards = Shards("vectors.parquet", Job.of(embedder, catalog))   # doctest: +SKIP
        >>> with shards.held():                                              # doctest: +SKIP
        ...     for number in shards.missing():
        ...         shards.write(number, embed_catalog(embedder, catalog, rows=shards.job.shard(number)))
        ...     shards.merge()
    """

    def __init__(self, out: str | Path | Remote, job: Job) -> None:
        self.out = place(out)
        self.job = job
        self.folder = self.out.parent / f"{self.out.name}.parts"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin the job or go on with it, and keep other runs from it meanwhile; a store has no means to keep them.

        Raises:
            OutputError: when another run is at it, the folder cannot be written to, or it holds finished shards of
                another job: they are the work of hours perhaps, and not removed for a slip.
        """
        with locked(self.folder) if isinstance(self.folder, Path) else nullcontext():
            if self._begun() != self.job:
                self._refuse_others()
                self._clear()
                with whole_bytes(self.folder / _JOB_FILE) as file:
                    file.write(f"{json.dumps(asdict(self.job), indent=2)}\n".encode())
            yield

    def finished(self) -> list[int]:
        """The numbers of the shards that are there, in order."""
        return sorted(int(name[1]) for name in map(_SHARD.fullmatch, self._names()) if name)

    def missing(self) -> list[int]:
        """The numbers of the shards that are not, in order."""
        there = set(self.finished())
        return [number for number in range(len(self.job)) if number not in there]

    def write(self, number: int, vectors: Vectors) -> None:
        """Keep the vectors of a shard.

        Args:
            number: of the shard.
            vectors: of its rows, in their order.

        Raises:
            ValueError: when they are not one for each row, or another model's or of other modalities.
            VectorError: when one is not finite, or not of length 1 or 0.
            OutputError: when the file cannot be written.
        """
        self._check(number, vectors)
        write_vectors(self._file(number), vectors)

    def read(self, number: int) -> Vectors:
        """The vectors of a finished shard.

        Raises:
            VectorError: when its file is missing or damaged.
        """
        file = self._file(number)
        try:
            vectors = read_vectors(file)
            self._check(number, vectors)
        except (VectorError, ValueError):
            raise VectorError(f"{file} is damaged; remove it, and run the same command again.") from None
        return vectors

    def merge(self) -> int:
        """Write the output from all shards, in the order of the rows, one shard in memory; then remove them.

        Returns:
            How many of its vectors are zero.

        Raises:
            VectorError: when a shard is missing or damaged.
            OutputError: when the output cannot be written.
        """
        empty = 0

        def parts() -> Iterator[Vectors]:
            nonlocal empty
            for number in range(len(self.job)):
                part = self.read(number)
                empty += int((~part.vectors.any(axis=1)).sum())
                yield part

        write_vectors(self.out, parts())
        self._clear()
        return empty

    def _check(self, number: int, vectors: Vectors) -> None:
        asked = (len(self.job.shard(number)), self.job.fingerprint, self.job.modalities)
        given = (len(vectors), vectors.fingerprint, vectors.modalities)
        if given != asked:
            raise ValueError(f"vectors of {given} are not those of shard {number}, of {asked}")

    def _file(self, number: int) -> Path | Remote:
        return self.folder / f"{number:06}.parquet"

    def _begun(self) -> Job | None:
        """The job that the folder's shards are of; None where it does not say."""
        try:
            return Job(**json.loads((self.folder / _JOB_FILE).read_bytes()))
        except (MissingError, OSError, ValueError, TypeError):
            return None

    def _refuse_others(self) -> None:
        """Refuse a folder that holds what this job would have to remove."""
        begun, finished = self._begun(), len(self.finished())
        if finished:
            asked, then = asdict(self.job), {} if begun is None else asdict(begun)
            how = (words for name, words in _DIFFERS.items() if name in then and then[name] != asked[name])
            raise OutputError(
                f"{self.folder} holds {number_of(finished, 'finished shard')} "
                f"{next(how, 'of another version of item-embed')}; go on with the arguments of then, choose another "
                "--out, or remove that folder to begin anew."
            )
        if begun is None and not all(map(_OURS.fullmatch, self._names())):
            raise OutputError(
                f"{self.folder}, where unfinished work is kept, is not empty and none of `item embed`'s; choose "
                "another --out."
            )

    def _clear(self) -> None:
        """Remove the shards, and the folder if nothing else is in it; what says whose they are goes last."""
        ours = sorted(filter(_OURS.fullmatch, self._names()), key=lambda name: name == _JOB_FILE)
        if isinstance(self.folder, Remote):
            for name in ours:
                remove(self.folder / name)
            return
        for name in ours:
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # something of the user's is in it
            self.folder.rmdir()

    def _names(self) -> list[str]:
        """What is in the folder."""
        if isinstance(self.folder, Remote):
            return sorted(names_in(self.folder))
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder}, where unfinished work is kept, is a file; choose another --out.")
        return [file.name for file in self.folder.iterdir()] if self.folder.is_dir() else []
