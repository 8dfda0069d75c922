"""What `--engine ray` refuses before Ray is started; the work itself is tested on a cluster, in test_ray_cluster."""

import socket
import sys
from pathlib import Path

import pytest

from item_embed.embedding import ray_engine
from item_embed.embedding.ray_engine import Cluster, RayError, check_cluster
from item_embed.embedding.shards import Job
from item_embed.errors import ConfigError

JOB = Job("f", "c", "both", "fp32", rows=10, shard_rows=4)
MACHINES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0, "GPU": 1.0}, {"CPU": 4.0}, {}]


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    machines = list(MACHINES)
    monkeypatch.setattr(ray_engine, "_machines", lambda: machines)
    return machines


def work(model: Path = Path("model"), device: str | None = None) -> ray_engine._Work:
    return ray_engine._Work(model, Path("catalog"), JOB, 256, device)


def test_without_ray_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(ray_engine, "_ENVIRONMENT", {})
    with pytest.raises(RayError, match=r"not installed; in a checkout .*, pip install '\.\[ray\]'\.$"):
        check_cluster(Cluster())


@pytest.mark.parametrize("named", ["option", "environment"])
def test_an_address_that_nobody_answers_at_is_refused_at_once(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "_load_ray", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address if named == "environment" else "somewhere:1")
    with pytest.raises(RayError, match=rf"answers at {address}: Connection refused; start one with `ray start --head`"):
        check_cluster(Cluster(address if named == "option" else None))


def test_ray_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "_load_ray", lambda: None)
    with pytest.raises(RayError, match=r"run this on a machine of the cluster, with --ray-address auto\.$"):
        check_cluster(Cluster("ray://head:10001"))


@pytest.mark.parametrize("address", ["auto", "local"])
def test_what_ray_has_other_words_for_is_left_to_ray(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "_load_ray", lambda: None)
    check_cluster(Cluster(address))


@pytest.mark.parametrize(
    ("cpus", "gpus", "room"),
    [(1, 0, 15), (2, 0, 7), (1, 1, 3), (1, 0.5, 6), (2, 0.25, 5), (1, 2, 1), (8, 0, 1), (1, 0.4, 6), (1, 0.1, 11)],
)
def test_as_many_actors_as_fit(cpus: int, gpus: float, room: int, machines: list[dict[str, float]]) -> None:
    """Each on one machine: what is left over on several makes no place."""
    assert ray_engine._room(cpus, gpus) == room


@pytest.mark.parametrize(("cpus", "gpus"), [(9, 0), (1, 3), (4, 2), (9, 0.5)])
def test_no_room_is_one_sentence(cpus: int, gpus: float, machines: list[dict[str, float]]) -> None:
    machines[0] = {"CPU": 3.0, "GPU": 2.0}
    with pytest.raises(RayError, match=rf"room for an actor, {cpus} core.*; give smaller --cpus-per-actor"):
        ray_engine._room(cpus, gpus)


def test_one_and_a_half_gpus_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a whole number, not 1\.5\.$"):
        Cluster(gpus=1.5)


def test_a_gpu_each_where_model_and_device_use_one(machines: list[dict[str, float]], tmp_path: Path) -> None:
    assert ray_engine._gpus(work(), Cluster()) == 1
    assert ray_engine._gpus(work(device="cuda"), Cluster()) == 1
    assert ray_engine._gpus(work(device="cpu"), Cluster()) == 0
    assert ray_engine._gpus(work(), Cluster(gpus=0.25)) == 0.25
    assert ray_engine._gpus(work(device="cpu"), Cluster(gpus=0)) == 0
    (tmp_path / "model.onnx").touch()
    (tmp_path / "export.json").touch()
    assert ray_engine._gpus(work(tmp_path), Cluster()) == 0
    machines[:] = [{"CPU": 8.0}]
    assert ray_engine._gpus(work(), Cluster()) == 0
