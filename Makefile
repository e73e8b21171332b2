# What people type here. `make demo` and `make test` install what they need (as root, on Debian 12).
#
#   make build   .venv with pimpyd and pimctl in .venv/bin
#   make run     the daemon here, with conf/pimpyd.conf
#   make demo    three routers in namespaces forward a stream; KEEP=1 leaves them standing, DOWN=1 takes them down
#   make test    lint and all tests        make lint    ruff and mypy --strict
#   make install [PREFIX=/usr/local] [DESTDIR=]   programs, names they stand in for, manual, unit; also make uninstall
#   make deb     a Debian package, in dist/       make deb-test   install it on Debian 12 and 13
#   make soak    the long random tests     make bench   figures beside FRR
#   make fuzz    a million messages at the core (FUZZ='--seed 7 --family ipv6')
#   make mutants changes the core in a sample of places and sees whether tests fail (MUTANTS='--sample 300')
#   make clean   back to a fresh clone

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
# Most of them are labs at any time, and those mostly wait (tests/conftest.py deals them out).
JOBS ?= 6
PYTEST := $(PYTHON) -m pytest
TESTS ?=
# A thousand restarts, and a thousand flaps, renames and recreations, in the lab.
STORMS := tests/lab/test_restart.py::test_many_restarts_leave_no_trace \
	tests/lab/test_restart.py::test_every_way_to_restart_at_every_router_loses_nothing \
	tests/lab/test_faults.py::test_flaps_renames_and_recreations_end_as_a_fresh_start
BENCH ?=
FUZZ ?=
MUTANTS ?=
LOG := $(VENV)/build.log
PIP := $(PYTHON) -m pip --disable-pip-version-check -q
NATIVE := $(wildcard pimpy/kernel/native/*)
EXTENSION := $(wildcard pimpy/kernel/_mroute*.so)

export PYTHONPATH := tests
# What is compiled once need not be compiled by each of the thousand programs that a test run starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: all build run demo test lint soak fuzz mutants bench install uninstall deb deb-test clean prepare-build always
.DELETE_ON_ERROR:

all: build

build: prepare-build $(VENV)/.built

prepare-build:
	@tests/prepare build

$(VENV)/.created:
	@echo "build: making $(VENV)"
	@/usr/bin/python3 -m venv $(VENV)
	@$(PIP) install -U pip 'setuptools>=77' wheel >$(LOG) 2>&1 || { cat $(LOG); exit 1; }
	@touch $@

$(VENV)/.built: $(VENV)/.created pyproject.toml pimpy/__init__.py $(NATIVE) $(if $(EXTENSION),,always)
	@echo "build: installing pimpy and its tools into $(VENV)"
	@CFLAGS="-Wall -Wextra -Werror" $(PIP) install --no-build-isolation --config-settings editable_mode=compat \
		-e '.[test,lint]' >$(LOG) 2>&1 || { cat $(LOG); exit 1; }
	@$(PYTHON) -m compileall -q pimpy  # the daemon starts a third sooner, whatever PYTHONDONTWRITEBYTECODE says
	@$(BIN)/pimpyd -v
	@touch $@

run: build
	$(BIN)/pimpyd -n -f conf/pimpyd.conf

demo:
	@tests/prepare demo
	@$(MAKE) --no-print-directory build
	@$(PYTHON) -m lab.demo $(if $(KEEP),--keep) $(if $(DOWN),--down)

lint: build
	@echo "lint: ruff"
	@$(BIN)/ruff check .
	@echo "lint: mypy --strict"
	@$(BIN)/mypy --strict

test:
	@tests/prepare test
	@$(MAKE) --no-print-directory build
	@# What collecting compiles is kept: six workers would each compile all of it.
	@$(PYTEST) --collect-only -q >/dev/null & $(MAKE) --no-print-directory lint; code=$$?; wait; exit $$code
	@echo "test: all of tests/, $(JOBS) at a time"
	@$(PYTEST) -n $(JOBS) --dist worksteal --timeout 400 $(TESTS)

soak: build
	PIMPY_SOAK=1 $(PYTEST) -n 2 --hypothesis-profile soak tests/core $(STORMS) $(TESTS)

fuzz: build
	@cd tests/core && PYTHONPATH=.:.. ../../$(PYTHON) -m fuzzing --messages 1000000 $(FUZZ)

mutants: build
	@$(PIP) install 'cosmic-ray>=8.3' 'coverage>=7'
	@cd tests && ../$(PYTHON) -m mutants $(MUTANTS)

install uninstall:
	@contrib/install $(if $(filter uninstall,$@),--remove)

deb: build
	@contrib/debian/build dist

deb-test: build
	@tests/prepare package
	PIMPY_PACKAGE=1 $(PYTEST) tests/lab/test_package.py tests/lab/test_systemd.py

bench:
	@tests/prepare test
	@$(MAKE) --no-print-directory build
	@$(PYTHON) -m bench $(BENCH)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find pimpy tests -name __pycache__ -prune -exec rm -rf {} +
	find pimpy -name '*.so' -delete
