# What can be done here, each in one line. Needs Python 3.11 or newer with pip, and nothing else.
#   make demo    run the shop        make test    run the tests        make test-servers    those that need servers
#   make check   all gates           make rehearse | lint | types | bench | mutants | lock | clean
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-by-$(subst /,-,$(PYTHON))
DEV    := $(STAMP)-dev
INPUTS := pyproject.toml constraints.txt scripts/venv.sh

.DEFAULT_GOAL := help
EXAMPLES := customers_and_orders hybrid onboarding shop shop_parallel shop_payment_first wallet
REHEARSALS := tests.rehearse.cafe:rehearsal tests.rehearse.parcels:rehearsal $(EXAMPLES:%=examples.%.rehearsal:rehearsal)
.PHONY: help demo rehearse test test-servers lint format types check bench mutants lock clean

help: ## say what can be done
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(STAMP): $(INPUTS)
	@sh scripts/venv.sh "$(PYTHON)" "$(VENV)" "."
	@touch $@

$(DEV): $(INPUTS)
	@sh scripts/venv.sh "$(PYTHON)" "$(VENV)" ".[dev]"
	@touch $(STAMP) $@

demo: $(STAMP) ## run the shop: thousands of real orders through nine services
	$(BIN)/farandole demo $(ARGS)

rehearse: $(DEV) ## the runtime and the shop through faulty futures
	for rehearsal in $(REHEARSALS); do $(BIN)/farandole rehearse $$rehearsal $(ARGS) || exit 1; done

test: $(DEV) ## run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-servers: $(DEV) ## start real servers, run the tests that need them (FULL=1: the long counts)
	scripts/servers up
	eval "$$(scripts/servers env)" && FARANDOLE_REQUIRE_SERVERS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m servers $(ARGS)

lint: $(DEV) ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV) ## put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV) ## both type checkers
	$(BIN)/mypy src
	$(BIN)/python -m pytest -q tests/typing

check: lint types test ## all gates

bench: $(DEV) ## the benchmarks; each prints its baseline
	$(BIN)/python -m benchmarks $(ARGS)

mutants: $(DEV) ## change the runtime in small places: does a test notice? (slow; ARGS=file)
	PYTHONPATH=src $(BIN)/python scripts/mutants.py $(or $(ARGS),$(addprefix src/farandole/runtime/,inbox.py worker.py relay.py))

lock: ## resolve anew: constraints.txt, which pip reads, from a uv.lock of your own (needs uv)
	uv lock --upgrade
	uv export --quiet --frozen --all-extras --no-hashes --no-emit-project --no-annotate --no-header -o constraints.txt

clean: ## forget everything that was built here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* .farandole
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
