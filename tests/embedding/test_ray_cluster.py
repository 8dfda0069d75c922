"""A Ray cluster of two workers on this machine: a head that only leads, and what becomes of workers that die."""

import gc
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding import ray_engine
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.ray_engine import Cluster, RayError, embed_shards_with_ray
from item_embed.embedding.shards import Job, Shards
from item_embed.embedding.vectors import Vectors, read_vectors
from item_embed.model.folder import EXPORT_FILE
from tests.embedding.export.made import trained
from tests.embedding.ray_actors import Forgetful, Hopeless, Killed, Large, Watched
from tests.tiny import tiny_catalog

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster as Machines

    from tests.stores import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # of its own settings, by itself
    pytest.mark.filterwarnings("ignore:unclosed file .*ray-data:ResourceWarning"),  # the log of each data set
]

ROWS = 4  # of a shard: ten of them
STORE = 80 << 20  # bytes for objects on each machine; Ray takes no fewer
_HEAD, _FIRST, _SECOND = "127.0.0.2", "127.0.0.3", "127.0.0.4"  # 127.0.0.1 is turned into a public address by Ray


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Ray leaves logs open, for the collector of garbage to find: here, and not in another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def machines(s3: "Store") -> "Iterator[Machines]":
    """They are told with their environment where the store is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(True, head_node_args={**head, "node_ip_address": _HEAD, "object_store_memory": STORE})
        try:
            for address in (_FIRST, _SECOND):
                cluster.add_node(num_cpus=1, node_ip_address=address, object_store_memory=STORE)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model, which is loaded without torch, and so in a tenth of the time."""
    from item_embed.embedding.export import export_model

    path = tmp_path_factory.mktemp("model")
    export_model(trained(path), path / "exported")
    return path / "exported"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return tiny_catalog(tmp_path / "catalog")


@pytest.fixture
def whole(model: Path, catalog: Catalog) -> Vectors:
    return embed_catalog(Embedder.from_pretrained(model), catalog)


@pytest.fixture
def shards(model: Path, catalog: Catalog, tmp_path: Path) -> Iterator[Shards]:
    shards = Shards(tmp_path / "vectors.parquet", Job.of(Embedder.from_pretrained(model), catalog, shard_rows=ROWS))
    with shards.held():
        yield shards


def begun(folder: Path) -> list[tuple[int, int]]:
    """Shards and processes, as they were begun."""
    lines = (folder / "begun").read_text(encoding="utf8").splitlines()
    return [(int(number), int(process)) for number, process in map(str.split, lines)]


def assert_same(shards: Shards, whole: Vectors) -> None:
    shards.merge()
    made = read_vectors(shards.out)
    assert (made.ids, made.fingerprint, made.model) == (whole.ids, whole.fingerprint, whole.model)
    np.testing.assert_allclose(made.vectors, whole.vectors, atol=1e-6)


def test_the_vectors_are_those_of_one_machine(
    machines: "Machines",
    model: Path,
    catalog: Catalog,
    shards: Shards,
    whole: Vectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Two processes, each of which loads the model once; a shard that is there already is kept."""
    monkeypatch.setattr(ray_engine, "_Actor", Watched)
    shards.write(2, replace(whole, ids=whole.ids[8:12], vectors=whole.vectors[8:12]))
    told: list[tuple[int, int | None]] = []
    again = embed_shards_with_ray(
        model, catalog, shards, Cluster(machines.address), on_progress=lambda done, total: told.append((done, total))
    )
    assert again == 0
    assert sorted(number for number, _ in begun(tmp_path)) == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert len({process for _, process in begun(tmp_path)}) == 2
    assert told == [(done, 40) for done in range(4, 41, 4)]
    assert capfd.readouterr().out == ""
    assert_same(shards, whole)


def test_a_killed_worker_loses_nothing(
    machines: "Machines",
    model: Path,
    catalog: Catalog,
    shards: Shards,
    whole: Vectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ray_engine, "_Actor", Killed)
    again = embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    assert again >= 1  # on a busy machine Ray may ask twice, and one counts as two
    assert {number for number, _ in begun(tmp_path)} == set(range(10))
    assert len({process for _, process in begun(tmp_path)}) >= 3
    assert capfd.readouterr().out == ""
    assert_same(shards, whole)


def test_a_lost_count_loses_nothing(
    machines: "Machines",
    model: Path,
    catalog: Catalog,
    shards: Shards,
    whole: Vectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The actor that counts is ended from outside: another goes on, from nothing."""
    monkeypatch.setattr(ray_engine, "_Actor", Forgetful)
    embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    assert (tmp_path / "killed").exists()
    assert_same(shards, whole)


def test_a_shard_that_ends_every_worker_is_given_up(
    machines: "Machines",
    model: Path,
    catalog: Catalog,
    shards: Shards,
    whole: Vectors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a sentence; and the work goes on where it was, when the cause is mended."""
    monkeypatch.setattr(ray_engine, "_Actor", Hopeless)
    with pytest.raises(RayError, match=r"rows 12 to 15 were begun 4 times, .* where memory runs out; give a smaller"):
        embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    kept = shards.finished()
    assert kept
    monkeypatch.undo()
    embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    assert_same(shards, whole)


def test_another_model_is_one_sentence(machines: "Machines", model: Path, catalog: Catalog, tmp_path: Path) -> None:
    """As where machines share no disk, and one has the model of yesterday."""
    job = replace(Job.of(Embedder.from_pretrained(model), catalog), fingerprint="another")
    shards = Shards(tmp_path / "vectors.parquet", job)
    with (
        shards.held(),
        pytest.raises(RayError, match=r"has another model at .*; give all machines the same one") as told,
    ):
        embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    assert "\n" not in str(told.value)


def test_what_is_not_there_is_one_sentence(
    machines: "Machines", model: Path, catalog: Catalog, shards: Shards, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / EXPORT_FILE).write_bytes((model / EXPORT_FILE).read_bytes())
    with pytest.raises(RayError, match=r"half/model\.onnx is missing; .* \(finished shards are kept, .*\)\.$") as told:
        embed_shards_with_ray(half, catalog, shards, Cluster(machines.address))
    assert "\n" not in str(told.value)


def test_a_machine_without_the_package_is_one_sentence(
    machines: "Machines", model: Path, catalog: Catalog, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an actor is made of is in a module that only this process has."""
    absent = ModuleType("item_embed_absent")
    absent.Actor = type("Actor", (Watched,), {"__module__": absent.__name__})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, absent.__name__, absent)
    monkeypatch.setattr(ray_engine, "_Actor", absent.Actor)
    with pytest.raises(RayError, match="has no item-embed, or another version") as told:
        embed_shards_with_ray(model, catalog, shards, Cluster(machines.address))
    assert "\n" not in str(told.value)


def test_more_than_a_machine_has_is_refused(
    machines: "Machines", model: Path, catalog: Catalog, shards: Shards
) -> None:
    with pytest.raises(RayError, match=r"room for an actor, 64 cores and 0\.5 of a GPU; give smaller --cpus-per-actor"):
        embed_shards_with_ray(model, catalog, shards, Cluster(machines.address, gpus=0.5, cpus=64))


def test_actors_wait_for_who_takes_their_vectors(
    machines: "Machines", model: Path, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """640 MB of vectors go through stores of 80 MB: while nobody takes them, few are made."""
    monkeypatch.setattr(ray_engine, "_Actor", Large)
    job = Job.of(Embedder.from_pretrained(model), catalog, shard_rows=1)
    work = ray_engine._Work(model, catalog.path, job, 8, "cpu")
    cluster = Cluster(machines.address)
    with ray_engine._connected(cluster):
        told = ray_engine._told(work, range(40), cluster)
        taken = [next(told)]
        made, since = 0, time.monotonic()
        while time.monotonic() - since < 5:
            time.sleep(0.2)
            if len(begun(tmp_path)) > made:
                made, since = len(begun(tmp_path)), time.monotonic()
        assert made <= 20
        taken += told
    assert sorted(int(one["item"]) for one in taken) == list(range(40))


def test_catalogue_and_vectors_in_a_store(
    machines: "Machines", model: Path, catalog: Catalog, whole: Vectors, bucket: str
) -> None:
    fsspec.filesystem("s3").put(str(catalog.path), f"{bucket}/catalog", recursive=True)
    stored = Catalog(f"{bucket}/catalog")
    job = Job.of(Embedder.from_pretrained(model), stored, shard_rows=ROWS)
    shards = Shards(f"{bucket}/vectors.parquet", job)
    with shards.held():
        embed_shards_with_ray(model, stored, shards, Cluster(machines.address))
        assert_same(shards, whole)


def test_the_command_says_what_it_made_and_nothing_of_ray(
    machines: "Machines", model: Path, catalog: Catalog, whole: Vectors, tmp_path: Path
) -> None:
    out = tmp_path / "vectors.parquet"
    options = ["--engine", "ray", "--ray-address", str(machines.address), "--json"]
    command = ["-m", "item_embed.cli", "embed", str(model), str(catalog.path), "--out", str(out), *options]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "embedding: " not in line]) == (0, [])
    told = json.loads(done.stdout)
    assert {name: told[name] for name in ("rows", "engine", "workers", "retried_shards")} == {
        "rows": 40,
        "engine": "ray",
        "workers": 0,
        "retried_shards": 0,
    }
    np.testing.assert_allclose(read_vectors(out).vectors, whole.vectors, atol=1e-6)


def test_a_lost_machine_loses_nothing(
    machines: "Machines",
    model: Path,
    catalog: Catalog,
    shards: Shards,
    whole: Vectors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last test: one worker is left, and embeds what the other had begun."""
    monkeypatch.setattr(ray_engine, "_Actor", Watched)

    def on_progress(done: int, total: int | None) -> None:
        if done == 12 and len(machines.worker_nodes) == 2:
            machines.remove_node(next(iter(machines.worker_nodes)), allow_graceful=False)

    embed_shards_with_ray(model, catalog, shards, Cluster(machines.address), on_progress=on_progress)
    assert_same(shards, whole)
