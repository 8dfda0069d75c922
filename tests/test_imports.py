"""The house: imports point one way, nothing goes in a circle, and heavy packages stay where they belong."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "item_embed"

# Each floor may import itself and those below. The rooms of one floor do not know each other.
FLOORS = (
    ("cli",),
    ("serving",),
    ("evaluation",),
    ("explain", "categories", "search"),
    ("embedding",),
    ("training",),
    ("objectives",),
    ("model",),
    ("catalog",),
    ("config", "files"),
    ("parallel", "remote", "thresholds"),
    ("errors", "hashing", "progress", "spreadsheet", "wording"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"torch", "transformers", "accelerate", "tokenizers", "safetensors", "tensorboard"}
LIGHT = ("item_embed.catalog", "item_embed.search", "item_embed.evaluation.metrics")
EXPORTED = ("explain", "embedding.embedder", "embedding.onnx_backend", "model.folder", "model.arrays", "model.words")


def modules() -> dict[str, Path]:
    """Every module of the package, by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf8"))


@cache
def imports(module: str, everywhere: bool = True) -> frozenset[str]:
    """What a module imports: everywhere (in functions and for types too), or only when it is itself imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                package = parts if MODULES[module].name == "__init__.py" else parts[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            found.update(f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):  # most of a file, and nothing is imported in one
                continue
            if everywhere or not (isinstance(child, functions) or is_type_checking(child)):
                visit(child)

    visit(parsed(module))
    return frozenset(found)


def ours(module: str, everywhere: bool = True) -> set[str]:
    return {name for name in imports(module, everywhere) if name.split(".")[0] == "item_embed"}


def loaded(module: str) -> set[str]:
    """The packages that importing a module loads, through other modules of ours too."""
    seen: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name in MODULES and name not in seen:
            pending.extend(imports(name, everywhere=False))
        seen.add(name)
    return {name.split(".")[0] for name in seen}


def room(module: str) -> str:
    """`item_embed.model.heads` is in the room `model`."""
    return module.split(".")[1]


def test_every_room_has_a_floor() -> None:
    rooms = {room(name) for name in MODULES if name != "item_embed"}
    assert rooms <= FLOOR.keys(), f"give {rooms - FLOOR.keys()} a floor in DESIGN and here"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name != "item_embed"))
def test_imports_point_downwards(module: str) -> None:
    for name in ours(module) - {"item_embed"}:  # the version
        same_room = room(name) == room(module)
        assert same_room or FLOOR[room(name)] > FLOOR[room(module)], f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_import_of_ours_exists(module: str) -> None:
    assert ours(module) <= MODULES.keys()


def test_nothing_imports_itself_in_a_circle() -> None:
    finished: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in finished:
            for name in sorted(ours(module) - {"item_embed", module}):
                walk(name, (*path, module))
            finished.add(module)

    for module in sorted(MODULES.keys() - {"item_embed"}):
        walk(module, ())


@pytest.mark.parametrize(
    "module", sorted(n for n in MODULES if any(n == light or n.startswith(f"{light}.") for light in LIGHT))
)
def test_light_rooms_import_nothing_heavy(module: str) -> None:
    assert not loaded(module) & HEAVY


def test_light_rooms_load_nothing_heavy() -> None:
    names = [n for n in MODULES if any(n == light or n.startswith(f"{light}.") for light in LIGHT)]
    assert len(names) > 10
    code = f"import sys\nfor n in {names!r}: __import__(n)\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", EXPORTED)
def test_what_an_exported_model_needs_loads_no_torch(module: str) -> None:
    assert not loaded(f"item_embed.{module}") & {*HEAVY - {"tokenizers"}, "sklearn", "pyarrow", "pydantic"}


def test_a_service_learns_nothing() -> None:
    """What was learned is read from files; what learns it is slow to load."""
    assert not loaded("item_embed.serving.app") & {"torch", "transformers", "sklearn"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_onnx_is_imported_in_its_room_alone(module: str) -> None:
    packages = {name.split(".")[0] for name in imports(module)}
    assert "onnx" not in packages or module.startswith("item_embed.embedding.export")


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room(f"{name}.") == "cli"))
def test_commands_import_nothing_slow_until_they_run(module: str) -> None:
    """`item --help` answers in 0.3 s."""
    assert not loaded(module) & {*HEAVY, "numpy", "pyarrow", "PIL", "sklearn", "matplotlib", "pydantic"}


@pytest.mark.parametrize("name", ["torchvision", "timm", "open_clip", "pickle", "torch.load"])
def test_what_is_never_used(name: str) -> None:
    for module, path in MODULES.items():
        assert not any(i == name or i.startswith(f"{name}.") for i in imports(module)), module
        assert "torch.load(" not in path.read_text(encoding="utf8"), module
