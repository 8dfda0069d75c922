"""Exported models as users meet them: without torch, with a sentence for everything that is wrong."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import export_model
from item_embed.embedding.onnx_backend import OnnxBackend, _together
from item_embed.embedding.seen import Modalities
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.embedding.vectors import read_vectors
from item_embed.errors import ModelError
from item_embed.search.index import ProductIndex
from tests.catalogs import write_catalog
from tests.embedding.export.made import photo, trained
from tests.tiny import pattern, tiny_catalog, tiny_rows

Product = tuple[bytes | None, str | None]

# Runs the rest of the command line as a program for which some packages are not installed.
WITHOUT = """
import importlib.abc, sys
missing = set(sys.argv.pop(1).split(","))
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Missing())
"""
TORCH = "torch,transformers,accelerate,safetensors,onnx"
EMBED = """
import numpy as np
from item_embed import Embedder
embedder = Embedder.from_pretrained(sys.argv[1])
np.save(sys.argv[3], embedder.embed([sys.argv[2], None, sys.argv[2]], ["Red mug", "Blue shoe", None]))
"""
COMMANDS = """
import json
from item_embed.cli.main import app
for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
    print(end=chr(0))
"""


def without(packages: str, code: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", "-c", WITHOUT + code, packages, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    return trained(tmp_path_factory.mktemp("model"), "fused", background="drop")


@pytest.fixture(scope="module")
def exported(model: TorchBackend) -> Path:
    export_model(model, model.path / "out")
    return model.path / "out"


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def test_it_embeds_with_four_packages_and_without_torch(model: TorchBackend, exported: Path, tmp_path: Path) -> None:
    """numpy, Pillow, tokenizers and onnxruntime: what `docs/export.md` says to install."""
    (tmp_path / "mug.png").write_bytes(pattern(2))
    other = "pyarrow,pydantic,yaml,sklearn,scipy,faiss,typer,rich,jinja2,matplotlib,fsspec,pandas"
    without(f"{TORCH},{other}", EMBED, exported, tmp_path / "mug.png", tmp_path / "vectors.npy")
    expected = Embedder(model).embed([pattern(2), None, pattern(2)], ["Red mug", "Blue shoe", None])
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), expected, rtol=0, atol=1e-5)


def test_the_test_above_can_fail(model: TorchBackend) -> None:
    with pytest.raises(AssertionError, match="torch is not installed"):
        without(TORCH, EMBED, shutil.copytree(model.path, model.path / "again"), "mug.png", "vectors.npy")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("catalog") / "catalog")


def test_commands_work_with_it_without_torch(
    model: TorchBackend, exported: Path, catalog: Catalog, tmp_path: Path
) -> None:
    """An index of the model's own vectors is searched, and a catalogue embedded and measured, by the exported one."""
    ProductIndex.build(embed_catalog(Embedder(model), catalog), catalog, tmp_path / "index")
    (tmp_path / "mug.png").write_bytes(pattern(2))
    title, image = ["--title", "Red mug"], ["--image", tmp_path / "mug.png"]
    commands: list[list[object]] = []
    for query in (title, image, [*title, *image]):
        commands.append(["search", tmp_path / "index", *query, "--model", exported, "-k", 3, "--json"])
    for seen in get_args(Modalities):
        out = tmp_path / f"{seen}.parquet"
        commands.append(["embed", exported, catalog.path, "--out", out, "--modalities", seen, "--json"])
        commands.append(["evaluate", exported, catalog.path, "--split", "all", "--modalities", seen, "--json"])
    own = ["--out", tmp_path / "own", "--json"]
    commands.append(["index", tmp_path / "both.parquet", catalog.path, *own])
    commands.append(["index", exported, catalog.path, "--update", *own])
    commands.append(["search", tmp_path / "own", *title, "-k", 3, "--json"])
    page = tmp_path / "page.html"
    commands.append(
        ["explain", "item 0", *("--image-a", image[1]), "--index", tmp_path / "own", "--html", page, "--json"]
    )
    given = json.dumps([[str(word) for word in command] for command in commands])
    told = list(map(json.loads, without(TORCH, COMMANDS, given).split("\0")[:-1]))

    queries: list[Product] = [(None, "Red mug"), (pattern(2), None), (pattern(2), "Red mug")]
    index = ProductIndex(tmp_path / "index")
    for (mug, text), found in zip(queries, told, strict=False):
        (hits,) = index.search(Embedder(model).embed([mug], [text]), 3, model.fingerprint)
        assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in hits]
    for seen, embedded, measured in zip(get_args(Modalities), told[3:9:2], told[4:9:2], strict=True):
        exact = embed_catalog(Embedder(model), catalog, seen)
        assert (embedded["rows"], embedded["fingerprint"]) == (len(exact), model.fingerprint)
        vectors = read_vectors(tmp_path / f"{seen}.parquet")
        assert vectors.ids == exact.ids
        np.testing.assert_allclose(vectors.vectors, exact.vectors, rtol=0, atol=1e-4)  # photos are scaled
        assert measured["modalities"] == seen
        assert measured["queries"] > 10
    assert told[-3]["changes"]["unchanged"] == len(catalog)
    assert [hit["id"] for hit in told[-2]["hits"]] == [hit["id"] for hit in told[0]["hits"]]
    assert (told[-1]["method"], told[-1]["b"]["id"]) == ("occlusion", "item 0")
    assert "heat map" in page.read_text(encoding="utf8")


def test_categories_are_learnt_and_given_without_torch(exported: Path, tmp_path: Path) -> None:
    rows = [
        replace(row, category=f"Things > {number % 2}", split=("train", "train", "validation", "test")[number // 2 % 4])
        for number, row in enumerate(tiny_rows())
    ]
    labelled = write_catalog(tmp_path / "labelled", rows).path
    fit = ["fit", exported, labelled, "--out", tmp_path / "categories", "--modalities", "title", "--json"]
    predict = ["predict", tmp_path / "categories", labelled, "--out", tmp_path / "said.parquet", "--json"]
    given = json.dumps([["classify", *map(str, command)] for command in (fit, predict)])
    fitted, counts = map(json.loads, without(TORCH.replace("safetensors,", ""), COMMANDS, given).split("\0")[:-1])
    assert (fitted["leaves"], counts["rows"]) == (2, 40)


def test_what_it_does_not_read_is_refused(model: TorchBackend, tmp_path: Path) -> None:
    export_model(model, tmp_path / "titles", modalities="title")
    export_model(model, tmp_path / "photos", modalities="image")
    titles, photos = (Embedder.from_pretrained(tmp_path / name) for name in ("titles", "photos"))
    with pytest.raises(ModelError, match=r"product 1 has a photo, and the model .* was exported to read titles alone"):
        titles.embed([None, photo(1)], ["Red mug", "Blue shoe"])
    with pytest.raises(ModelError, match=r"product 0 has a title, and the model .* to read photos alone; .* image, or"):
        photos.embed([photo(1)], ["Red mug"])
    np.testing.assert_allclose(titles.embed(titles=["Red mug"]), Embedder(model).embed(titles=["Red mug"]), atol=1e-5)


@given(st.lists(st.tuples(st.integers(2, 40), st.sampled_from([0, 0, 20, 20, 20, 57, 196])), max_size=120))
def test_products_of_similar_length_go_together(lengths: list[tuple[int, int]]) -> None:
    tokens, patches = np.array([*lengths, (2, 0)], np.int64)[:-1].T
    groups = list(_together(tokens, patches))
    assert sorted(row for rows in groups for row in rows) == list(range(len(lengths)))
    for rows in groups:
        assert 1 <= len(rows) <= 32
        assert patches[rows].max() <= 1.25 * patches[rows].min() + 4
        assert len(rows) == 1 or len(rows) * (tokens[rows].max() + patches[rows].max()) <= 512
        if len(set(patches[rows])) == 1:
            assert (np.diff(tokens[rows]) >= 0).all()


def test_a_group_is_as_large_as_may_be() -> None:
    groups = [len(rows) for rows in _together(np.full(70, 5), np.repeat([0, 20], 35))]
    assert groups == [32, 3, 20, 15]  # of 20 products 500 positions
    assert [len(rows) for rows in _together(np.array([600, 9, 5]), np.full(3, 20))] == [2, 1]


def test_the_number_of_threads_is_the_one_that_torch_heeds(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for threads in ("3", "", "3,2", None):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if threads is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
        backend = OnnxBackend.from_pretrained(exported)
        seen.append(backend._session.get_session_options().intra_op_num_threads)
    assert seen == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"device": "cuda:1"}, r"runs on the CPU, not on 'cuda:1'; give no device, or the model folder"),
        ({"precision": "bf16"}, r"cannot multiply in bf16; `item export` has int8"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(arguments: dict[str, str], said: str, exported: Path) -> None:
    with pytest.raises(ModelError, match=said):
        Embedder.from_pretrained(exported, **arguments)  # type: ignore[arg-type]
    assert Embedder.from_pretrained(exported, "cpu", "auto").dimension == 20


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "processor_config.json", "words.json"])
def test_a_missing_file_is_named(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        Embedder.from_pretrained(copy)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "processor_config.json", "words.json", "export.json"])
@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_file_is_named_in_one_sentence(name: str, content: str, copy: Path) -> None:
    (copy / name).write_text(content)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")) as caught:
        Embedder.from_pretrained(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"version": 2}, {"precision": "fp8"}, {"colour": "red"}, {"loss": {"rows": 3}}])
def test_what_another_version_wrote_is_refused(changes: dict[str, object], copy: Path) -> None:
    file = copy / "export.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(ModelError, match=r"export\.json .*; copy the whole folder, or export the model again\.$"):
        Embedder.from_pretrained(copy)


def test_without_onnx_runtime_it_is_one_sentence(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"which ONNX Runtime runs; run: pip install onnxruntime\.$"):
        Embedder.from_pretrained(exported)
