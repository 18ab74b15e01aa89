# make reproduce, make test: everything else is made from nothing but Python ≥ 3.11.
PYTHON ?= python3
VENV ?= .venv
OUT ?= results
SEED ?= 0
JOBS ?= 1
KILLS ?= 500
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help reproduce test test-fast test-paths coverage lint fuzz torment format clean

help:
	@echo "make reproduce   all figures at the quick preset and report.html, in $(OUT)/"
	@echo "make test        the whole test suite"
	@echo "make test-fast   the suite without the slow tests"
	@echo "make coverage    the lines and branches that the tests of test-fast reach"
	@echo "make test-paths  the fast tests of what computes, under other code paths of its libraries"
	@echo "make lint        ruff, mypy and the import contracts"
	@echo "make fuzz        go on with the fuzzer for BUDGET seconds (SEED, JOBS)"
	@echo "make torment     go on killing until there were KILLS kills (SEED, BUDGET)"
	@echo "make format      ruff format"
	@echo "make clean       remove the environment and caches (results stay)"

# The stamp is newer than what it was made from, or the environment is made again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "superposition needs Python 3.11 or newer; got $$($(PYTHON) --version): set PYTHON=python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	@touch $@

reproduce: $(VENV)/.installed
	$(BIN)/superposition reproduce --preset quick --out $(OUT)

# One thread a worker: tests run side by side.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations=30

test-fast: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not long'

coverage: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not long' --cov

test-paths: $(VENV)/.installed
	$(BIN)/python -m tests.paths

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Both keep a journal in .fuzz/ and go on where they ended.
fuzz: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --budget $(or $(BUDGET),600) --seed $(SEED) --jobs $(JOBS)

torment: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torment --kills $(KILLS) --budget $(or $(BUDGET),3600) --seed $(SEED)

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
