import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding import bulk
from item_embed.embedding.bulk import embed_catalog, embed_parts, embed_shards, enough_workers
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import export_model
from item_embed.embedding.seen import Modalities
from item_embed.embedding.shards import Job, Shards
from item_embed.embedding.vectors import read_vectors
from item_embed.errors import CatalogError, ConfigError
from item_embed.model.photos import PhotoProcessor
from item_embed.parallel import WorkerError, cores
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import Deadly, DummyEmbedder, dummy
from tests.embedding.export.made import trained
from tests.tiny import white_catalog

RED = photo((200, 20, 20))
BLUE = photo((20, 20, 200))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [
        Row("a", "red mug", RED),
        Row("b", "blue mug"),
        Row("c", None, BLUE),
        Row("d", "blue mug", BLUE),
        Row("e", "red mug", None),
    ]
    return write_catalog(tmp_path / "catalog", rows, files=2)


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
@pytest.mark.parametrize("part", [1, 2, 3, 100])
def test_every_row_gets_its_own_vector(
    catalog: Catalog, modalities: Modalities, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SHARD_ROWS", part)
    vectors = embed_catalog(dummy(), catalog, modalities)
    assert vectors.ids == ["a", "b", "c", "d", "e"]
    assert vectors.modalities == modalities
    for row in range(len(catalog)):
        image = catalog.photo(row) if modalities != "title" else None
        title = catalog.titles[row] if modalities != "image" else None
        if image or title:
            expected = DummyEmbedder().embed([image], [title])[0]
            np.testing.assert_allclose(vectors.vectors[row], expected, rtol=1e-6)
        else:
            assert not vectors.vectors[row].any()


def test_only_the_rows_asked_for_in_their_order(catalog: Catalog) -> None:
    chosen = embed_catalog(dummy(), catalog, rows=np.array([3, 0]))
    everything = embed_catalog(dummy(), catalog)
    assert chosen.ids == ["d", "a"]
    np.testing.assert_array_equal(chosen.vectors, everything.vectors[[3, 0]])


def test_the_model_is_named(catalog: Catalog, tmp_path: Path) -> None:
    vectors = embed_catalog(dummy(tmp_path / "run" / "model", "abc"), catalog)
    assert vectors.fingerprint == "abc"
    assert vectors.model == str(tmp_path / "run" / "model")


def test_rows_without_the_modality_cost_no_pass(catalog: Catalog) -> None:
    embedder = DummyEmbedder()
    embed_catalog(cast("Any", embedder), catalog, "image")
    assert embedder.sizes == [3]


def test_progress_never_falls_and_ends_at_the_total(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SHARD_ROWS", 2)
    told: list[tuple[int, int | None]] = []
    embed_catalog(dummy(), catalog, "image", on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (5, 5)


def test_unknown_modalities_are_refused(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="'sound'"):
        embed_catalog(dummy(), catalog, cast("Any", "sound"))


@pytest.mark.parametrize("part", [1, 3, 100])
def test_parts_are_the_whole(catalog: Catalog, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embed_catalog(dummy(), catalog, "image")
    monkeypatch.setattr(bulk, "SHARD_ROWS", part)
    parts = list(embed_parts(dummy(), catalog, "image"))
    assert max(map(len, parts)) <= part
    assert [key for one in parts for key in one.ids] == whole.ids
    np.testing.assert_array_equal(np.concatenate([one.vectors for one in parts]), whole.vectors)
    assert {(one.fingerprint, one.model, one.modalities) for one in parts} == {("dummy", whole.model, "image")}


def test_of_no_rows_comes_one_empty_part(catalog: Catalog) -> None:
    (part,) = embed_parts(dummy(), catalog, "title", np.zeros(0, np.int64))
    assert part.vectors.shape == (0, 16)
    assert part.modalities == "title"


def test_titles_of_which_cleaning_leaves_nothing_are_no_titles(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "odd", [Row("a", "&amp;"), Row("b", "mug"), Row("c", "!!")])
    assert embed_catalog(dummy(), catalog).vectors.any(axis=1).tolist() == [False, True, False]


def test_workers_change_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SHARD_ROWS", 3)
    monkeypatch.setattr(bulk, "_SLICE", 2)
    alone, beside = (list(embed_parts(dummy(), catalog, workers=workers)) for workers in (0, 1))
    assert [part.ids for part in beside] == [part.ids for part in alone] == [["a", "b", "c"], ["d", "e"]]
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)


@pytest.mark.slow  # workers import torch
@pytest.mark.parametrize("exported", [False, True])
def test_photos_that_workers_decode_have_the_same_vectors(
    exported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 rows in slices of 3 by two processes, in batches of 8, in parts of 19."""
    monkeypatch.setattr(bulk, "SHARD_ROWS", 19)
    monkeypatch.setattr(bulk, "_SLICE", 3)
    catalog, backend = white_catalog(tmp_path / "catalog"), trained(tmp_path / "model", "fused", background="drop")
    embedder = Embedder(backend)
    if exported:
        export_model(backend, tmp_path / "exported", precision="int8")
        embedder = Embedder.from_pretrained(tmp_path / "exported")
    alone, beside = (list(embed_parts(embedder, catalog, batch_size=8, workers=workers)) for workers in (0, 2))
    assert [len(part) for part in beside] == [19, 19, 2]
    assert [key for part in beside for key in part.ids] == catalog.ids
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_one_sentence(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DummyEmbedder, "photos", Deadly())
    with pytest.raises(WorkerError, match="ended from outside"):
        list(embed_parts(dummy(), catalog, workers=1))


def test_a_photo_that_cannot_be_used_is_named_by_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DummyEmbedder, "photos", PhotoProcessor((32, 32)))
    catalog = write_catalog(tmp_path / "catalog", [Row("a", "mug", RED), Row("sku 7", "mug", RED[:-9])])
    with pytest.raises(CatalogError, match="the photo of row 'sku 7' cannot be used: truncated file; prepare"):
        embed_catalog(dummy(), catalog)


def test_photos_are_decoded_no_further_ahead_than_a_batch_or_two(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row(f"row {i}", image=RED) for i in range(1000)])
    decoded, furthest = 0, 0

    class Counts:
        def read(self, photo: bytes) -> bytes:
            nonlocal decoded
            decoded += 1
            return photo

    class Eats(DummyEmbedder):
        photos = Counts()  # type: ignore[assignment]

        def embed(self, images: Any = None, *given: Any, **more: Any) -> Any:
            nonlocal furthest
            furthest = max(furthest, decoded - sum(self.sizes))
            return super().embed(images, *given, **more)

    embed_catalog(cast("Any", Eats()), catalog, batch_size=100)
    assert decoded == 1000
    assert furthest < 200


@pytest.mark.parametrize(
    ("rows", "modalities", "workers"), [(10**6, "both", min(16, cores())), (10**6, "title", 0), (99, "image", 0)]
)
def test_workers_where_there_is_enough_to_decode(rows: int, modalities: Modalities, workers: int) -> None:
    assert enough_workers(rows, modalities) == workers


def test_nothing_that_grows_with_the_catalogue_is_read_whole(catalog: Catalog, tmp_path: Path) -> None:
    shards = Shards(tmp_path / "vectors.parquet", Job.of(dummy(), catalog, shard_rows=2))
    with shards.held():
        embed_shards(dummy(), catalog, shards)
        shards.merge()
    assert read_vectors(shards.out).ids == ["a", "b", "c", "d", "e"]
    assert not {"ids", "titles", "has_photo", "photo_pixels"} & vars(catalog).keys()


_RESIDENT = """
import os, sys
import numpy as np
import psutil
from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_parts
from tests.embedders import DummyEmbedder

resident = {}
for _ in embed_parts(
    DummyEmbedder(), Catalog(sys.argv[1]), rows=np.tile(np.arange(512), 64), workers=int(sys.argv[2]),
    on_progress=lambda done, total: resident.update({8 * done // total: psutil.Process().memory_info().rss}),
): pass
print(resident[7] - resident[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, workers: int) -> None:
    """From 8,000 to 28,000 rows, of photos that together would be 650 MB."""
    drawn = np.random.default_rng(0)
    catalog = write_catalog(
        tmp_path / "catalog", [Row(f"row {i}", f"mug {i}", drawn.bytes(20_000)) for i in range(512)]
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _RESIDENT, str(catalog.path), str(workers)],
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        timeout=300,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 32 << 20


def test_progress_begins_with_what_is_kept(catalog: Catalog, tmp_path: Path) -> None:
    shards = Shards(tmp_path / "vectors.parquet", Job.of(dummy(), catalog, shard_rows=2))
    told: list[tuple[int, int | None]] = []
    with shards.held():
        shards.write(1, embed_catalog(dummy(), catalog, rows=np.array([2, 3])))
        embed_shards(dummy(), catalog, shards, on_progress=lambda done, total: told.append((done, total)))
        assert told[0] == (2, 5)
        assert told[-1] == (5, 5)
        assert told == sorted(told)
        embedder = DummyEmbedder()
        embed_shards(cast("Any", embedder), catalog, shards)
        assert embedder.sizes == []  # all is there


_KILLED = """
import os, signal, sys
from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_shards
from item_embed.embedding.shards import Job, Shards
from tests.embedders import DummyEmbedder

class Killed(DummyEmbedder):
    def embed(self, *given, **more):
        if len(self.sizes) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(*given, **more)

catalog, embedder = Catalog(sys.argv[1]), Killed()
shards = Shards(sys.argv[2], Job.of(embedder, catalog, shard_rows=2))
with shards.held():
    embed_shards(embedder, catalog, shards, batch_size=1, workers=int(sys.argv[3]))
"""


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_run_is_gone_on_with(catalog: Catalog, tmp_path: Path, workers: int) -> None:
    """It was killed in its second shard of three; the first is not computed again."""
    out, root = tmp_path / "vectors.parquet", Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(catalog.path), str(out), str(workers)],
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    embedder = DummyEmbedder()
    shards = Shards(out, Job.of(dummy(), catalog, shard_rows=2))
    with shards.held():
        assert shards.missing() == [1, 2]
        embed_shards(cast("Any", embedder), catalog, shards)
        assert embedder.sizes == [2, 1]
        shards.merge()
    whole = embed_catalog(dummy(), catalog)
    assert read_vectors(out).ids == whole.ids
    np.testing.assert_array_equal(read_vectors(out).vectors, whole.vectors)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["catalog", "vectors.parquet"]
