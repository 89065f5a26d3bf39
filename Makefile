# Two commands for everybody: `make demo` and `make test`. Needs Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test test-fast check format bench docs clean

demo: $(VENV)/.base
	$(BIN)/faceprint demo --out demo

test: $(VENV)/.test
	$(BIN)/python tools/run_tests.py

test-fast: $(VENV)/.test
	$(BIN)/python tools/run_tests.py -m "not slow"

check: $(VENV)/.test $(VENV)/.check
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_file_length.py
	$(BIN)/python tools/make_docs.py --check

format: $(VENV)/.check
	$(BIN)/ruff format src tests tools benchmarks
	$(BIN)/ruff check --fix src tests tools benchmarks

docs: $(VENV)/.test
	$(BIN)/python tools/make_docs.py

bench: $(VENV)/.test
	$(BIN)/python benchmarks/run_all.py $(BENCH)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("faceprint needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[test]'
	touch $@

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[check]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
