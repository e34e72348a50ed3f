# Two commands are enough: `make demo` shows what propense does, `make test` proves that it works.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.propense-ready
RUNS := .venv/.propense-runs
RUN_EXTRAS := train,serve
QUICK := not slow and not spark and not browser
FAST := $(QUICK) and not data and not postgres and not redis and not costly
# A file's tests stay together, because they share what they make; costly files come first.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
ONE_THREAD := OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage fast prove lint types floors words docs bench bench-quality bench-speed bench-growth bench-page lock release clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

setup: $(STAMP) ## make .venv with everything needed; done once, and again when the pins change

define install
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "propense needs Python 3.11 or later, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
	@touch $(RUNS)
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,dev)
	@touch $@

# What only tests and documentation need would make the demo wait.
$(RUNS): pyproject.toml constraints.txt
	$(call install,$(RUN_EXTRAS))

demo: $(RUNS) ## the education platform of 100,000 users: the whole flow, then the report (DEMO="--users 5000" for a short one)
	$(BIN)/propense demo $(DEMO)

test: setup ## the proof of every change, minutes: all tests but the slow, Spark and browser ones
	$(ONE_THREAD) $(BIN)/python -m pytest $(WORKERS) -m "$(QUICK)"

coverage: setup ## the same tests, half as long again: which branches they run, which must be 90 %
	$(ONE_THREAD) $(BIN)/python -m pytest $(WORKERS) -m "$(QUICK)" --cov --cov-branch --cov-report=term:skip-covered

fast: setup ## a minute and a half: the tests that need no data set, no server and no trained network
	$(ONE_THREAD) $(BIN)/python -m pytest $(WORKERS) -x --hypothesis-profile fast -m "$(FAST)"

prove: setup ## every proof of the project, hours; the table goes to build/prove/ (PROVE="--only flow")
	$(BIN)/python benchmarks/prove.py $(PROVE)

lint: setup ## ruff: rules and format
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

floors: setup ## who may import whom
	$(BIN)/lint-imports

words: setup ## the house's own words that are left in identifiers
	$(BIN)/python tools/words.py

docs: setup ## build the documentation into site/
	$(BIN)/python tools/make_docs.py
	$(BIN)/zensical build --clean

lock: setup ## deploy/requirements.lock: what the service needs, with the hashes of every file
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	printf 'hatchling\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --constraint constraints.txt --extra serve --extra postgres --extra redis \
		--output-file deploy/requirements.lock pyproject.toml -

release: setup ## dist/: wheel, sdist, the list of the service's parts (CycloneDX) and SHA256SUMS
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	rm -rf dist
	$(BIN)/python -m build --quiet --no-isolation --outdir dist .
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
		-o dist/propense.cdx.json deploy/requirements.lock
	cd dist && sha256sum * > SHA256SUMS

bench: setup ## the proofs of speed only
	$(BIN)/python benchmarks/prove.py --kind speed

bench-quality: setup ## the defaults over seeds beside rivals and literature, hours; kept runs are not made again
	$(BIN)/python -m benchmarks.quality.bench_quality $(BENCH)

bench-speed: setup ## time to the peer's best ndcg@10 on this machine, hours (BENCH="--peer-epochs 3" for minutes)
	$(BIN)/python -m benchmarks.speed.bench_speed $(BENCH)

bench-growth: setup ## seconds and memory from 10,000 to 10,000,000 events, minutes
	$(BIN)/python -m benchmarks.speed.bench_growth $(BENCH)

bench-page: setup ## docs/benchmarks.md from what the benchmarks wrote to build/bench
	$(BIN)/python -m benchmarks.pages.bench_page

clean: ## remove what was made, but not .venv
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f .coverage .coverage.*
