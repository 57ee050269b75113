# Everything a newcomer types. `make demo` and `make test` need only Python >= 3.11 (with venv), git and make.

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
DEMO ?= demo-run
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e

.PHONY: help install demo test check docs format clean

help:
	@echo "make demo    install, then run the whole pipeline on the embedded world (results in $(DEMO)/)"
	@echo "make test    install what the tests need and run them all"
	@echo "make check   ruff (format and lint) and mypy"
	@echo "make docs    rewrite the pages of docs/ that are made from the code"
	@echo "make format  let ruff rewrite the files"
	@echo "make clean   remove .venv and $(DEMO)/"

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than 3.11; give a newer one: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "make: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@touch $@

.venv/run: .venv/python pyproject.toml $(CONSTRAINTS)
	@echo "installing (once; a few minutes on a slow line) ..."
	@$(INSTALL) .
	@touch $@

.venv/dev: .venv/run
	@$(INSTALL) '.[test,check]'
	@touch $@

install: .venv/run

demo: .venv/run
	@rm -rf $(DEMO)
	@$(BIN)/align demo --workspace $(DEMO)

test: .venv/dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup

check: .venv/dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

docs: .venv/dev
	@$(BIN)/python docs/generate.py

format: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf .venv $(DEMO)
