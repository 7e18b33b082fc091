# The two commands for everyone: `make demo` and `make test`. Both install what they need.
#   make demo                     a simulated fleet with a hot host, no root, no daemon
#   make demo BACKEND=libvirt     three real libvirt hosts, a busy guest moved off the hot one (root, Debian)
#   make demo BACKEND=containers  two real podman hosts, a server that moves, a client that stays connected (the same)
#   make test                     everything, real engines included (root, Debian)
#   make check                    formatting, lint, types, layers
#   make bench                    speed, as ratios against peers, to bench.json
#   make mutants                  which small changes to the guard and the oracle no test notices
#   make docs                     the documentation, to docs/_build/html

BACKEND ?= mock
VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv/bin/uv)
export UV_PROJECT_ENVIRONMENT := $(VENV)
# A venv of our own is the only environment that is used, whatever the caller has active.
unexport VIRTUAL_ENV

.PHONY: demo test check bench mutants docs setup system clean

demo: .cache/demo-$(BACKEND).stamp
	@PYTHONPATH=. $(PYTHON) docs/demo/on_$(BACKEND).py

# A file at a time on each of two workers: most tests wait for engines, and files have their hosts to themselves.
test: setup
	$(VENV)/bin/pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: setup
	@tests/testbed/setup.sh bench
	@$(UV) sync --quiet --all-packages --all-extras --group dev --group docs --group bench
	$(PYTHON) -m tests.bench --json bench.json --strict

mutants: setup
	@$(UV) sync --quiet --all-packages --all-extras --group dev --group docs --group mutants
	$(VENV)/bin/mutmut run
	$(VENV)/bin/mutmut results

docs: setup
	$(VENV)/bin/sphinx-build -W -n --keep-going -b html docs docs/_build/html

# Everything that tests, benchmarks and checks need.
setup: system $(UV)
	@$(UV) sync --quiet --all-packages --all-extras --group dev --group docs

# Debian's packages for the real engines, and a CRIU for containers; quick when they are there.
system:
	@tests/testbed/setup.sh

.cache/demo-mock.stamp: $(UV) pyproject.toml plugins/mock/pyproject.toml
	@test -x $(PYTHON) || $(UV) sync --quiet --no-dev --extra cli --extra fleet
	@mkdir -p .cache && touch $@

.cache/demo-libvirt.stamp .cache/demo-containers.stamp: setup
	@mkdir -p .cache && touch $@

# Debian's python3 comes without venv; as root that can be mended, and where pip is there it does as well.
.cache/uv/bin/uv:
	@python3 -m venv --clear .cache/uv >/dev/null 2>&1 && .cache/uv/bin/pip install -q --disable-pip-version-check uv || \
	    { rm -rf .cache/uv; python3 -m pip install -q --target .cache/uv uv 2>/dev/null; } || \
	    { test "$$(id -u)" = 0 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv \
	        >/dev/null && python3 -m venv --clear .cache/uv && .cache/uv/bin/pip install -q uv; } || \
	    { echo "uv can't be installed: 'apt-get install python3-venv' as root, or install uv yourself" >&2; exit 1; }

clean:
	rm -rf $(VENV) .cache docs/_build bench.json mutants
