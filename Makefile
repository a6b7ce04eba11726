# What you need: Python 3.11 or newer with venv, and make. Everything goes into .venv; `make clean` removes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
PYTEST_ARGS ?=
JOBS ?= 2
# Files side by side; a worker has one thread, or they would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile
INTEROP := .venv-interop
TERRATORCH := .venv-terratorch
TORCHGEO_BENCH := .venv-torchgeo-bench
NUSCENES := .venv-nuscenes

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format coverage docs dist dist-edge chaos bench test-interop test-terratorch test-torchgeo-bench test-nuscenes test-ray clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-20s %s\n", $$1, $$2}'

demo: $(VENV)/.light  ## the light install, then demo/report.html: every sensor, shared perception, a fleet that runs
	$(BIN)/skyweave demo -o $(DEMO)

test: lint docs  ## lint, types, the documentation, and every test that needs no network and no peer library
	$(PYTEST) -m "not network and not interop" $(PYTEST_ARGS)

test-fast: $(VENV)/.development  ## the tests that take a moment
	$(PYTEST) -m "not network and not interop and not slow" -x $(PYTEST_ARGS)

lint: $(VENV)/.development  ## ruff, codespell and mypy, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell *.md benchmarks configs docs mkdocs.yml pyproject.toml scripts src  # not what running it writes
	$(BIN)/mypy

format: $(VENV)/.development  ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(VENV)/.development  ## the fast tests with branch coverage; PYTEST_ARGS=tests/wire for a part of them
	$(BIN)/pytest -m "not network and not interop and not slow" --cov --cov-report=term --cov-report=xml $(PYTEST_ARGS)

docs: $(VENV)/.development  ## the documentation as a site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(VENV)/.development  ## the sdist and the wheel in dist/
	$(BIN)/python -m build --no-isolation

dist-edge: $(VENV)/.development  ## the wheel of skyweave-edge in build/edge: exported models without PyTorch and GDAL
	$(BIN)/python -m build --no-isolation --wheel --outdir build/edge edge

chaos: $(VENV)/.development  ## hostile messages and faults against everything that runs: minutes; fails where an invariant does not hold
	$(BIN)/skyweave simulate configs/world/hidden.yaml -o build/chaos --scenes 1 --frames 8
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos_readers.py build/chaos --messages 100000
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos_messages.py build/chaos --messages 10000
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos_files.py --files 1000
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos_disk.py --rounds 5 --fault 'fills up' --fault hangs --fault breaks  # as root
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos_kill.py --kills 10

bench: $(VENV)/.development  ## the speed of our own code; see benchmarks/ for the comparisons with peers
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/pretraining.py

test-interop: $(INTEROP)/.interop  ## parity with torchgeo and its trainers, in an environment of its own with the newest torch (6 GB)
	$(INTEROP)/bin/pytest -m interop tests/interop $(PYTEST_ARGS)

test-terratorch: $(TERRATORCH)/.terratorch  ## TerraTorch trains our backbone, in an environment of its own (8 GB)
	$(TERRATORCH)/bin/pytest -m interop tests/interop/test_terratorch.py tests/interop/test_published.py $(PYTEST_ARGS)

test-torchgeo-bench: $(TORCHGEO_BENCH)/.torchgeo-bench  ## torchgeo-bench runs our model; needs Python 3.12 and git (8 GB)
	$(TORCHGEO_BENCH)/bin/pytest -m interop tests/interop/test_torchgeo_bench.py $(PYTEST_ARGS)

test-nuscenes: $(VENV)/.development $(NUSCENES)/.nuscenes  ## the ordinary nuscenes-devkit (numpy < 2) opens our recordings
	SKYWEAVE_NUSCENES_PYTHON=$(NUSCENES)/bin/python $(BIN)/pytest -m interop tests/interop/test_nuscenes_devkit.py $(PYTEST_ARGS)

test-ray: $(VENV)/.development  ## archives on a Ray cluster of this machine, whose head and workers are killed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(BIN)/pytest -m interop tests/inference/test_archive_on_ray.py $(PYTEST_ARGS)

clean:  ## remove the environments, caches and the demo
	rm -rf $(VENV) $(INTEROP) $(TERRATORCH) $(TORCHGEO_BENCH) $(NUSCENES) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* coverage.xml build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made from: a second `make demo` installs nothing.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "skyweave needs Python 3.11 or newer; run: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.light: $(VENV)/.created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[geo,link]'
	touch $@

$(VENV)/.development: $(VENV)/.created Makefile pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[geo,cloud,train,probe,view,link,ros,video,telemetry,locate,record,search,label,stac,serve,export,geobench,docs,dev]'
	touch $@ $(VENV)/.light

$(INTEROP)/.interop: pyproject.toml
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[geo,torchgeo,dev]'
	touch $@

$(TERRATORCH)/.terratorch: pyproject.toml
	$(PYTHON) -m venv $(TERRATORCH)
	$(TERRATORCH)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[geo,dev]' 'terratorch>=1.2.11'
	touch $@

$(TORCHGEO_BENCH)/.torchgeo-bench: pyproject.toml
	$(PYTHON) -m venv $(TORCHGEO_BENCH)
	$(TORCHGEO_BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[geo,dev]' \
		'torchgeo-bench @ git+https://github.com/torchgeo/torchgeo-bench'
	touch $@

$(NUSCENES)/.nuscenes:
	$(PYTHON) -m venv $(NUSCENES)
	$(NUSCENES)/bin/python -m pip install --quiet --disable-pip-version-check 'nuscenes-devkit==1.2.0' 'numpy<2' 'motmetrics==1.4.0' pandas
	touch $@
