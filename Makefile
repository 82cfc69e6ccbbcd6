# Needs Python 3.11 or newer, make and a package registry for pip; everything else is made here.

PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check docs clean
# A PYTHONPATH of the caller would put other packages before those of .venv.
unexport PYTHONPATH

help:
	@echo "make demo       the whole job on simulated patients; writes runs/demo/ with its report"
	@echo "make test       lint, types, import contracts and every test that takes seconds"
	@echo "make test-slow  the proofs that take minutes"
	@echo "make check      lint, types and import contracts only"
	@echo "make docs       links, commands and the generated pages of the documentation"
	@echo "make clean      remove .venv, caches and build files; runs/ stays"
	@echo "The first call makes $(VENV) with $(PYTHON); choose another with PYTHON=..."

demo: $(READY)
	$(BIN)/angiova demo

test: check
	$(BIN)/pytest -m "not slow"

test-slow: $(READY)
	$(BIN)/pytest -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/pytest tests/docs

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests docs requirements -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is taken up again.
$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer -> make PYTHON=python3.11 ..."; exit 1; }
	@echo "[1/3] making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] installing the packages of requirements/dev.lock (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --requirement requirements/dev.lock
	@echo "[3/3] installing angiova"
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
