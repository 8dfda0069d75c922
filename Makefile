# make setup | demo [SOURCE=feed.csv] | test | test-slow | lint | format | docs | bench [BENCH=training BENCH_ARGS=...]
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCH ?= training
# Without a GPU, PyTorch's CPU wheels save gigabytes of CUDA libraries.
TORCH_INDEX := $(shell command -v nvidia-smi >/dev/null 2>&1 || echo --extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: setup demo test test-slow lint format docs bench

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install --no-deps --retries 1 $(TORCH_INDEX) 'torch>=2.6,<2.14'
	$(BIN)/pip install -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/item demo --out demo $(if $(SOURCE),--source '$(SOURCE)')

# Bytecode is kept even where the environment says otherwise: compiling all tests anew, and in every process that they
# start all of the source, is a tenth of the time.
test: setup
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # not --quiet: it hides warnings from --strict too
	@echo 'the site is in build/site: open build/site/index.html'

bench: setup
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python benchmarks/$(BENCH).py $(BENCH_ARGS)
