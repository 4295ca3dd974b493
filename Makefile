# Everything a newcomer or CI needs; `make help` lists it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Tests wait more than they work, so more of them than there are cores run side by side. Those that start servers come
# together in the order of the tests: a worker that has nothing left takes half of what another has still to do.
JOBS   ?= 4
# pytest's status where a selection holds no test: one of the two halves of `make test` may be empty.
NONE_SELECTED := 5
# With AGAIN=1, up to three tests that failed (status 1) are run once more, alone, and named.
AGAIN ?=
UNLESS := case $$? in $(NONE_SELECTED)) ;; 1) test "$(AGAIN)" = 1 && $(BIN)/python -m tests.again ;; *) false ;; esac
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

# The locks pin every package by hash. The project itself is installed without dependencies and without build isolation,
# so that no step fetches anything unpinned.
$(VENV)/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sensorium needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose another: make PYTHON=python3.12 …)")'
	@echo "Installing the pinned packages into $(VENV) (once)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	@echo "Installing the pinned development packages into $(VENV) (once)…"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

# Clients that others wrote, for the tests; they want older packages than we do. One of these comes as source only, so
# what builds it is installed first, from the same lock.
PEERS := $(VENV)/peers.stamp $(VENV)/peers-thingsboard.stamp
$(PEERS): $(VENV)/%.stamp: requirements-%.lock $(VENV)/run.stamp
	@echo "Installing other people's MQTT clients into $(VENV)/$* (once)…"
	@test -x $(VENV)/$*/bin/python || $(PYTHON) -m venv $(VENV)/$*
	@sed -n '/^setuptools/,/[^\\]$$/p' $< >$(VENV)/$*/build.lock
	@$(VENV)/$*/bin/python -m pip --disable-pip-version-check -q install --require-hashes --no-deps -r $(VENV)/$*/build.lock
	@$(VENV)/$*/bin/python -m pip --disable-pip-version-check -q install --require-hashes --no-deps --no-build-isolation -r $<
	@touch $@

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/run.stamp ## Create .venv with the pinned packages and the sensorium command

.PHONY: demo
demo: $(VENV)/run.stamp ## Run the whole stack with 50 simulated devices (SECONDS=20 to stop by itself)
	@$(BIN)/sensorium demo $(if $(filter command line environment,$(origin SECONDS)),--seconds $(SECONDS))

.PHONY: check
check: $(VENV)/dev.stamp ## Lint, types and import boundaries
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: test
test: $(VENV)/dev.stamp $(PEERS) ## Every test this machine can run (REQUIRE_SERVICES=1: a skip is a failure)
	@rm -f .pytest_cache/v/cache/lastfailed
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not alone and not soak' $(ARGS) || $(UNLESS)
	@$(BIN)/python -m pytest -m alone $(ARGS) || $(UNLESS)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp ## Fuzz the topic router and every decoder (SECONDS=600 each; NAMES="json senml" for some)
	@$(BIN)/python -m tests.fuzz.run --seconds $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),5) $(NAMES)

.PHONY: soak
soak: $(VENV)/dev.stamp ## The long tests: a minute without the stream, many kills, troubles of stores, the laws at length
	@$(BIN)/python -m pytest -m soak -o faulthandler_timeout=4000 $(ARGS)

.PHONY: bench
bench: $(VENV)/run.stamp ## The highest rate that the whole pipeline holds, with latency and CPU of a message
	@$(BIN)/sensorium capacity $(ARGS)

.PHONY: bench-ingest
bench-ingest: $(VENV)/dev.stamp ## CPU of a message in ingest alone, beside a simple loop over well-known libraries
	@$(BIN)/python tests/bench/ingest.py $(ARGS)

.PHONY: bench-processor
bench-processor: $(VENV)/dev.stamp ## How fast processor empties a stream into its store, and what a point costs it
	@$(BIN)/python -m tests.bench.processor $(ARGS)

.PHONY: bench-alerting
bench-alerting: $(VENV)/dev.stamp ## What a reading costs alerting, how soon a webhook is told, and how long loading takes
	@$(BIN)/python -m tests.bench.alerting $(ARGS)

.PHONY: bench-api
bench-api: $(VENV)/dev.stamp ## How fast devices_api answers, with 100,000 devices and 100 million points
	@$(BIN)/python -m tests.bench.api $(ARGS)

.PHONY: bench-generator
bench-generator: $(VENV)/dev.stamp ## How many messages simulated devices send from one core, and what one costs them
	@$(BIN)/python -m tests.bench.generator $(ARGS)

.PHONY: lock
lock: $(VENV)/dev.stamp ## Compile the lock files anew from pyproject.toml
	@$(BIN)/uv pip compile -q pyproject.toml --extra build --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	@$(BIN)/uv pip compile -q pyproject.toml --extra build --extra dev -c requirements.lock --universal --generate-hashes --no-emit-index-url --no-header -o requirements-dev.lock
	@for peers in peers peers-thingsboard; do \
	    $(BIN)/uv pip compile -q requirements-$$peers.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-$$peers.lock; \
	done

.PHONY: clean
clean: ## Remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build ./*.egg-info

.PHONY: docs
docs: $(VENV)/dev.stamp ## Write the tables of settings and metrics in the READMEs anew from the code
	@$(BIN)/python -m tests.docs.tables
