"""Bulk embedding on a Ray cluster: Ray Data gives shards to actors that hold the model; this process keeps them."""

import logging
import os
import socket
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.exported import is_exported
from item_embed.embedding.shards import Job, Shards
from item_embed.embedding.vectors import Vectors
from item_embed.errors import ConfigError, ItemError, installing
from item_embed.progress import OnProgress, silent
from item_embed.remote.places import Remote
from item_embed.wording import number_of

_TRIES = 4  # of a shard, before what ends its workers is taken to be the shard
_LOCAL = "local"  # what Ray calls a cluster of this machine alone, which it starts and ends
_ANSWERS_WITHIN = 10.0  # seconds that a cluster may take
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to the makers of Ray
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its core would write to stderr
    "RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S": "7200",  # a shard may take a core longer than Ray's half an hour
}
_GO_ON = "finished shards are kept, and the same command goes on with them"


class RayError(ItemError):
    """A Ray cluster is not there, or did not finish the work."""


@dataclass(frozen=True)
class Cluster:
    """Where Ray runs, and what of it is used.

    Attributes:
        address: of a running cluster, `HOST:PORT` of its head or `auto` for the one of this machine; None: what
            RAY_ADDRESS in the environment says, or else one of this machine alone, for the time of the work.
        actors: processes that each hold the model; None: as many as fit.
        gpus: of each actor, a part of one too: 0.25 lets four share a GPU. None: one where there are any and the
            model can use it, else none.
        cpus: of each actor; its model computes in so many threads.

    Raises:
        ConfigError: when `gpus` is above 1 and not whole.
    """

    address: str | None = None
    actors: int | None = None
    gpus: float | None = None
    cpus: int = 1

    def __post_init__(self) -> None:
        if self.gpus is not None and self.gpus > 1 and self.gpus % 1:
            raise ConfigError(f"--gpus-per-actor is a part of one, or a whole number, not {self.gpus:g}.")


def embed_shards_with_ray(
    model: Path,
    catalog: Catalog,
    shards: Shards,
    cluster: Cluster | None = None,
    *,
    batch_size: int = 256,
    device: str | None = None,
    on_progress: OnProgress = silent,
) -> int:
    """Embed the shards that are missing on a Ray cluster, and keep each as soon as it comes.

    Actors read the model and the catalogue under the names that they have here: the one lies on a disk that all
    machines see, the other there or in an object store. Vectors come back through Ray, and this process alone writes:
    each shard once, in full. An actor has one shard at a time, and Ray Data lets actors wait while finished ones fill
    its object store. One that dies, alone or with its machine, is replaced by Ray, and its shard embedded again.

    Args:
        model: a model folder, or an exported one.
        catalog: the whole catalogue, of which the shards are.
        shards: of this model and catalogue, held.
        cluster: where to work; by default as much of this machine as is free.
        batch_size: rows that a model embeds at once.
        device: a torch device of each actor; by default the GPU that Ray gives it, or the CPU.
        on_progress: told of the rows done, those of finished shards too, and of their total.

    Returns:
        How many shards were embedded more than once, since what embedded them was ended from outside.

    Raises:
        RayError: when Ray is not installed, the cluster cannot be reached or has no room for an actor, or an actor
            says what is wrong with the model, the catalogue or a photo.

    Examples:
        >>> embedder = Embedder.from_pretrained("run/model", "cpu")                                 # doctest: +SKIP
        >>> shards = Shards("vectors.parquet", Job.of(embedder, Catalog("catalog")))              # doctest: +SKIP
        >>> with shards.held():                                                                      # doctest: +SKIP
        ...     embed_shards_with_ray(Path("run/model"), Catalog("catalog"), shards, Cluster("auto"))
        ...     shards.merge()
    """
    cluster, job, missing = cluster or Cluster(), shards.job, shards.missing()
    done, again = job.rows - sum(len(job.shard(number)) for number in missing), 0
    on_progress(done, job.rows)
    if not missing:
        return 0
    work = _Work(model.resolve(), catalog.path.resolve(), job, batch_size, device)
    check_cluster(cluster)
    with _connected(cluster), closing(_told(work, missing, cluster)) as finished:
        for told in finished:
            if told["error"]:
                raise RayError(f"{told['error'].rstrip('.')} ({_GO_ON}).")
            rows = job.shard(number := int(told["item"]))
            ids = [key for key, _, _ in catalog.iter_listings(rows, photos=False)]
            shards.write(number, Vectors(ids, told["vectors"], job.fingerprint, str(work.model), job.modalities))
            again += told["tries"] > 1
            done += len(rows)
            on_progress(done, job.rows)
    return again


@dataclass(frozen=True)
class _Work:
    """What an actor has to know."""

    model: Path
    catalog: Path | Remote
    job: Job
    batch_size: int
    device: str | None


class _Actor:
    """Embeds shards by their number. Ray Data makes one in each process of its pool.

    Args:
        work: what is to be embedded, and by what.
        tries: the actor that counts how often each shard was begun.
    """

    def __init__(self, work: _Work, tries: Any) -> None:
        self._work = work
        self._tries = tries

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The vectors of one shard, (rows, d), or the sentence that says why there are none."""
        import ray

        # A shard that ends its process would be tried for ever: Ray restarts actors without end, as it must where
        # machines come and go. So is a model, which is loaded with the first shard and not before, for that reason.
        number = int(row["item"])
        tries = ray.get(self._tries.begin.remote(number))
        told = {"item": number, "vectors": np.zeros((0, 1), np.float32), "error": "", "tries": tries}
        if tries > _TRIES:
            return {**told, "error": self._hopeless(number)}
        try:
            return {**told, "vectors": self._embed(number)}
        except ItemError as error:
            return {**told, "error": str(error)}
        except Exception as error:  # goes to Ray's log of this actor; a person gets its first line
            traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0]
            return {**told, "error": f"{self._rows(number)} cannot be embedded: {type(error).__name__}: {first}"}

    def _embed(self, number: int) -> Any:
        embedder, catalog = self._opened
        work = self._work
        rows = np.asarray(work.job.shard(number), np.int64)
        return embed_catalog(embedder, catalog, work.job.modalities, rows, batch_size=work.batch_size).vectors

    @cached_property
    def _opened(self) -> tuple[Embedder, Catalog]:
        """The model and the catalogue, the same as where the work was begun."""
        work = self._work
        embedder = Embedder.from_pretrained(work.model, work.device, "bf16" if work.job.precision == "bf16" else "fp32")
        catalog = Catalog(work.catalog)
        if (here := Job.of(embedder, catalog, work.job.modalities, work.job.shard_rows)) != work.job:
            what = f"model at {work.model}" if here.catalog == work.job.catalog else f"catalogue at {work.catalog}"
            raise ConfigError(
                f"the machine {socket.gethostname()} has another {what}; give all machines the same one, for "
                "instance on a disk that they share."
            )
        return embedder, catalog

    def _hopeless(self, number: int) -> str:
        return (
            f"{self._rows(number)} were begun {_TRIES} times, and each time the process that embedded them was ended "
            "from outside, as happens where memory runs out; give a smaller --batch-size, or fewer --actors."
        )

    def _rows(self, number: int) -> str:
        rows = self._work.job.shard(number)
        return f"rows {rows.start:,} to {rows.stop - 1:,}"


class _Tries:
    """Counts, in an actor of its own, how often each shard was begun."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, number: int) -> int:
        self._begun[number] = self._begun.get(number, 0) + 1
        return self._begun[number]


def _told(work: _Work, missing: Sequence[int], cluster: Cluster) -> Generator[dict[str, Any]]:
    """What the actors say of each shard, in the order in which they are finished."""
    import ray
    from ray.data import ActorPoolStrategy
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    gpus = _gpus(work, cluster)
    actors = min(len(missing), cluster.actors or _room(cluster.cpus, gpus))
    # Beside this process, where it lives as long as the work; if not, another counts on, and who asked asks again.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    lasting = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    tries = ray.remote(_Tries).options(**lasting, scheduling_strategy=here).remote()
    # One block is what Ray gives out at a time, and again when an actor dies: so each shard is one.
    numbers = ray.data.from_items(list(missing), override_num_blocks=len(missing))
    told = numbers.map(
        cast("Any", _Actor),  # a class, of which Ray makes one in each process
        fn_constructor_args=(work, tries),
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
        num_cpus=cluster.cpus,
        num_gpus=gpus,
    )
    try:
        yield from told.iter_rows()
    except Exception as error:  # theirs have no other common base
        raise _gave_up(error) from error


def _gpus(work: _Work, cluster: Cluster) -> float:
    """GPUs of each actor."""
    if cluster.gpus is not None:
        return cluster.gpus
    uses = not is_exported(work.model) and (work.device is None or work.device.startswith("cuda"))
    return float(uses and any(node.get("GPU") for node in _machines()))


def _room(cpus: int, gpus: float) -> int:
    """How many actors fit on the machines that are there."""
    found = 0
    for machine in _machines():
        fit = machine.get("CPU", 0) // cpus
        if gpus:  # no part reaches from one GPU to the next
            fit = min(fit, machine.get("GPU", 0) * (int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus))
        found += int(fit)
    if not found:
        each = number_of(cpus, "core") + (f" and {gpus:g} of a GPU" if gpus else "")
        raise RayError(
            f"no machine of the Ray cluster has room for an actor, {each}; give smaller --cpus-per-actor or "
            "--gpus-per-actor, or --actors to wait for machines that are still to come."
        )
    return found


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster has in all."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _gave_up(error: Exception) -> RayError:
    """What a person can do about what Ray says."""
    if "No module named 'item_embed" in str(error):
        return RayError(
            "a machine of the Ray cluster has no item-embed, or another version of it; install the same one on all of "
            f"them ({_GO_ON})."
        )
    last = (str(error).strip().splitlines() or [""])[-1].rstrip(".")
    return RayError(f"Ray gave up: {type(error).__name__}: {last} ({_GO_ON}).")


def check_cluster(cluster: Cluster) -> None:
    """Refuse what cannot work before a model is loaded.

    Raises:
        RayError: when Ray is not installed, or nobody answers at the address.
    """
    _load_ray()
    address = _address(cluster)
    if address.startswith("ray://"):
        raise RayError(
            f"{address} is an address of Ray Client, through which Ray Data does not work; run this on a machine of "
            "the cluster, with --ray-address auto."
        )
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:  # Ray would go on asking for minutes
        socket.create_connection((host, int(port)), _ANSWERS_WITHIN).close()
    except OSError as error:
        raise RayError(
            f"no Ray cluster answers at {address}: {error.strerror or error}; start one with `ray start --head`, "
            "and give the address that it prints."
        ) from None


def _load_ray() -> None:
    """Import Ray, in an environment that may say otherwise."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise RayError(f"--engine ray needs Ray, which is not installed; {installing('ray')}.") from None


def _address(cluster: Cluster) -> str:
    return cluster.address or os.environ.get("RAY_ADDRESS") or _LOCAL


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """A connection to a cluster; one that this process has already stays."""
    import ray

    if ray.is_initialized():
        with _quiet():
            yield
        return
    address = _address(cluster)
    alone: dict[str, Any] = {"include_dashboard": False} if address == _LOCAL else {}
    with _quiet():
        try:
            with _mute():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **alone)
        except Exception as error:  # a plain one where a machine is too busy for it to start
            said = " ".join(str(error).split()).rstrip(".")
            raise RayError(
                f"no Ray cluster can be used at {address}: {said}; start one with `ray start --head`, and run this on "
                "a machine of it, with the same Ray and Python."
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's bars and logs off the terminal, and off stdout what Ray prints of processes that died."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = context.enable_progress_bars
    context.enable_progress_bars = False
    consoles = [one for one in logging.getLogger("ray.data").handlers if one.name == "console"]
    levels = [one.level for one in consoles]
    for one in consoles:
        one.setLevel(logging.CRITICAL + 1)
    try:
        with Path(os.devnull).open("w", encoding="utf8") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        context.enable_progress_bars = before
        for one, level in zip(consoles, levels, strict=True):
            one.setLevel(level)


@contextmanager
def _mute() -> Iterator[None]:
    """Keep off stderr what Ray's core says of its environment before it heeds it."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
