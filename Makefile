# Two commands for everybody: `make demo` and `make test`. Needs Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q
LOWEST := $(VENV)/lowest
SMOKE := tests/unit/vision/test_images.py tests/unit/vision/test_headers.py tests/unit/cli/test_exit_codes.py tests/unit/test_settings.py \
  tests/unit/test_external.py tests/unit/test_telemetry.py tests/unit/test_public_names.py tests/unit/embedding_table tests/unit/server \
  tests/integration/test_reduced_decoding.py tests/integration/test_cli.py tests/integration/test_one_photograph.py

.PHONY: demo test test-fast test-lowest check check-duplicates check-types check-docs check-style format bench docs site clean

demo: $(VENV)/.base
	$(BIN)/faceprint demo --out demo

test: $(VENV)/.test
	$(BIN)/python tools/run_tests.py

test-fast: $(VENV)/.test
	$(BIN)/python tools/run_tests.py -m "not slow"

# A selection of the tests with the lowest versions that pyproject.toml allows.
test-lowest: $(LOWEST)/.done
	$(LOWEST)/bin/python tools/run_tests.py $(SMOKE)

check: $(VENV)/.test $(VENV)/.check
	$(MAKE) -j 2 --output-sync check-duplicates check-types check-docs check-style

check-duplicates:
	$(BIN)/pylint src/faceprint

check-types:
	$(BIN)/mypy

check-docs:
	$(BIN)/python tools/make_docs.py --check
	$(MKDOCS) -d build/site

check-style:
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/lint-imports
	$(BIN)/python tools/check_file_length.py

format: $(VENV)/.check
	$(BIN)/ruff format src tests tools benchmarks
	$(BIN)/ruff check --fix src tests tools benchmarks

docs: $(VENV)/.test
	$(BIN)/python tools/make_docs.py

site: $(VENV)/.check
	$(MKDOCS)

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
	$(PIP) install --no-deps compreface-sdk  # it asks for a requests-toolbelt that does not suit today's urllib3
	touch $@

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[check]'
	touch $@

$(LOWEST)/.done: pyproject.toml $(VENV)/.test
	$(PIP) install uv
	$(BIN)/uv venv -q --clear $(LOWEST)
	VIRTUAL_ENV=$(LOWEST) $(BIN)/uv pip install -q --resolution lowest-direct -e '.[onnx,bulk,report,client,server,video]'
	VIRTUAL_ENV=$(LOWEST) $(BIN)/uv pip install -q pytest pytest-xdist pytest-socket hypothesis
	touch $@

clean:
	rm -rf $(VENV) demo site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
