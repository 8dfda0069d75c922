import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.feeds.feed import open_feed
from item_embed.catalog.feeds.hub import is_hub
from item_embed.errors import FeedError


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, offline, with its caches in the test's folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(library.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache/downloads")
    library.disable_progress_bars()
    return library


@pytest.fixture
def folder(datasets: Any, tmp_path: Path) -> Path:
    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "image": datasets.Image(),
            "kind": datasets.ClassLabel(names=["shirt", "mug"]),
            "tags": datasets.List(datasets.ClassLabel(names=["new", "old"])),
            "size": {"width": datasets.Value("float32")},
        }
    )
    for split, size in {"train": 130, "test": 3}.items():
        rows = [
            {
                "id": n,
                "image": {"bytes": b"photo %d" % n, "path": f"{n}.jpg"},
                "kind": None if n == 2 else n % 2,
                "tags": [1, 0],
                "size": {"width": 0.5},
            }
            for n in range(size)
        ]
        datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / f"data/{split}-00000.parquet")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _folder_of_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def test_all_splits_with_labels_by_name_and_images_as_they_are(folder: Path) -> None:
    feed = open_feed(f"hf:{folder}")
    rows = list(feed.rows())
    assert feed.size == len(rows) == 133
    assert feed.columns == ("id", "image", "kind", "tags", "size")
    assert [number for number, _, _ in rows] == list(range(1, 134))
    assert [feed.name(file) for file in feed.files] == ["data?split=train", "data?split=test"]
    assert rows[129][1] == feed.files[0]
    assert rows[130][1] == feed.files[1]
    assert rows[129][2].values == {
        "id": 129,
        "image": {"bytes": b"photo 129", "path": "129.jpg"},
        "kind": "mug",
        "tags": ["old", "new"],
        "size": {"width": 0.5},
    }
    assert rows[2][2].values["kind"] is None


@pytest.mark.parametrize(
    ("options", "ids"),
    [("split=test", [0, 1, 2]), ("split=train[:2]&config=default", [0, 1]), ("split=test%2Btrain[:1]", [0, 1, 2, 0])],
)
def test_one_split_and_parts_of_it(folder: Path, options: str, ids: list[int]) -> None:
    feed = open_feed(f"hf:{folder}?{options}")
    assert [record.values["id"] for _, _, record in feed.rows()] == ids


@pytest.mark.slow
@pytest.mark.parametrize("skip", [1, 63, 64, 65, 129, 130, 131, 133, 134])
def test_rows_are_skipped_and_keep_their_numbers(folder: Path, skip: int) -> None:
    feed = open_feed(f"hf:{folder}")
    assert list(feed.rows(skip)) == list(feed.rows())[skip:]


def test_the_stamp_stays_and_changes_with_the_data(folder: Path) -> None:
    first = open_feed(f"hf:{folder}?split=test").stamp
    assert open_feed(f"hf:{folder}?split=test").stamp == first
    pq.write_table(pa.table({"title": ["shirt"]}), folder / "test-00000.parquet")
    pq.write_table(pa.table({"title": ["mug"]}), folder / "train-00000.parquet")
    assert open_feed(f"hf:{folder}?split=test").stamp != first


def test_images_by_path_come_as_bytes_from_the_folder_and_from_nowhere_else(
    datasets: Any, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "1.jpg").write_bytes(b"photo")
    paths = ["1.jpg", str(folder / "1.jpg"), "../secret.jpg", str(tmp_path / "secret.jpg"), "absent.jpg"]
    rows = [{"title": path, "image": {"bytes": None, "path": path}} for path in paths]
    features = datasets.Features({"title": datasets.Value("string"), "image": datasets.Image()})
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000.parquet")
    feed = open_feed(f"hf:{folder}?split=test")
    assert [record.values["image"]["bytes"] for _, _, record in feed.rows()] == [b"photo", b"photo", None, None, None]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:", r"^hf: needs the name of a dataset"),
        ("hf:{folder}?split=nope", r"^hf:.*\?split=nope cannot be loaded: Unknown split \"nope\"\. Should be one of"),
        ("hf:{folder}?config=nope", r"cannot be loaded: BuilderConfig 'nope' not found"),
        ("hf:{folder}?spilt=test", r"has an unknown option 'spilt'; write it as hf:owner/name\?split=train"),
        ("hf:{folder}?test", r"has an unknown option 'test'; write it as hf:owner/name\?split=train"),
        ("hf:{folder}/nowhere", r"nowhere cannot be loaded: Couldn't find any data file at"),
        ("hf:nobody/nothing", r"^hf:nobody/nothing cannot be loaded: Couldn't reach 'nobody/nothing' on the Hub"),
        ("hf:{folder}-broken", r"^hf:.*broken cannot be loaded: .+\.$"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(folder: Path, source: str, message: str) -> None:
    broken = folder.with_name("data-broken")
    broken.mkdir()
    (broken / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FeedError, match=message) as raised:
        open_feed(source.format(folder=folder))
    assert "\n" not in str(raised.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        FeedError, match=r"^hf:a/b needs the datasets library; in a checkout .*, pip install '\.\[hf\]'\.$"
    ):
        open_feed("hf:a/b")


def test_files_of_the_hub_are_a_url() -> None:
    assert is_hub("hf:owner/name")
    assert not is_hub("hf://datasets/owner/name/feed.csv")
