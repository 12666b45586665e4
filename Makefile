# What a machine with Python 3.11, make and the package registries needs to run Tapvolt. `make help` lists the targets.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# uv is kept apart: it is needed to lock, not to run.
TOOLS := $(VENV)/tools
LOCK := pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
# Many tests wait for sockets and databases, not for the processor.
WORKERS ?= 4
# What is compiled once is not compiled anew by each of the tests' processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check docs lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## install everything into .venv

$(READY): requirements-dev.lock pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip -q
	@echo "installing the locked packages into $(VENV) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Tapvolt needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) cannot make a venv: install its venv package (Debian: python3.11-venv)" >&2; exit 1; }

demo: $(READY) ## play paid sessions from tap to receipt; exits 0 if everything came out right
	@$(BIN)/tapvolt demo

run: $(READY) ## keep the demo's stage up, for playing
	@$(BIN)/tapvolt demo --play

test: $(READY) ## run all tests; with FULL=1 at full scale, as before a release
	@FULL_SCALE=$(FULL) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

check: $(READY) ## lint, formatting, types, floors
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(READY) ## write the generated pages of docs/ anew
	@$(BIN)/python -m csms.settings_doc > docs/settings.md
	@$(BIN)/python -m csms.ocpp.messages_doc > docs/messages.md
	@$(BIN)/python -m csms.web.api.operations_doc > docs/api.md
	@$(BIN)/python -m sessions.states_doc states > docs/states.md
	@$(BIN)/python -m sessions.states_doc facts > docs/facts-and-commands.md

lock: $(TOOLS)/bin/uv ## resolve the dependencies anew and lock them
	@$< $(LOCK) pyproject.toml -o requirements.lock
	@$< $(LOCK) pyproject.toml --group dev -o requirements-dev.lock

$(TOOLS)/bin/uv: | $(BIN)/python
	@$(BIN)/python -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install -q --disable-pip-version-check uv

clean: ## remove what was installed and generated
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis
