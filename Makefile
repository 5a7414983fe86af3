# `make demo [IMAGE=photo.jpg]`, `make test` and `make docs` need Python 3.11+ and make, nothing else: they set up .venv by themselves.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# A new key, and so a new set-up, whenever the dependencies, the place or the interpreter change.
KEY := $(shell { cat pyproject.toml constraints.txt; pwd; $(or $(PYTHON),false) -VV; } 2>/dev/null | cksum | cut -d' ' -f1)
READY := $(VENV)/ready-$(KEY)
DOCS_READY := $(VENV)/docs-$(KEY)
WORKERS ?= 2
# Bytecode is kept whatever the environment asks for: dozens of tests and notebooks start a process each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test docs lint format setup clean

demo: $(READY)
	$(BIN)/scenekit demo --out demo $(if $(IMAGE),--image "$(IMAGE)")

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

docs: $(DOCS_READY)
	rm -rf docs/_build
	$(BIN)/python -m sphinx -b html -W --keep-going -q -j $(WORKERS) -D nb_execution_mode=force docs docs/_build/html
	@echo "built docs/_build/html/index.html"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n $(WORKERS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

$(READY):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; name one with make PYTHON=/path/to/python3" >&2; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,synth,tflite,h5,timm,transformers,viz,export,video,ros,trackers]"
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,synth,docs]"
	@touch $@

clean:
	rm -rf $(VENV) demo build docs/_build dist .mypy_cache .pytest_cache .ruff_cache
