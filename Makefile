PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL := build/wheel
PROCESSES ?= 2

# Tests run against the wheel, unpacked in build/wheel, not against the source tree; tests/conftest.py checks that.
# One thread of linear algebra, as workers have: more of them wait for each other where processes share cores.
PYTEST := OPENBLAS_NUM_THREADS=1 LITETUNER_INSTALLED=1 PYTHONPATH=$(CURDIR)/$(WHEEL) $(BIN)/python -m pytest
# All tests of a file run in one process, because they share expensive fixtures; conftest.py puts the slowest files first.
PARALLEL := -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: install demo wheel test test-services test-zoo coverage check lock clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "litetuner needs Python 3.11 to 3.13; %s is %s. Try: make PYTHON=python3.12" % (sys.executable, sys.version.split()[0]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77"
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

demo: install
	$(BIN)/litetuner demo

# What a user installs. Built without network: setuptools is in the environment already.
wheel: install
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/dist .
	$(BIN)/python -m pip install --quiet --no-deps --no-index --target $(WHEEL) build/dist/*.whl

test: wheel
	$(PYTEST) $(PARALLEL)

# The documentation's commands and snippets; real sshd, adb and Chromium.
test-services: wheel
	$(PYTEST) $(PARALLEL) -m service

test-zoo: wheel
	$(PYTEST) -m zoo --timeout 1800

coverage: wheel
	$(PYTEST) $(PARALLEL) --timeout 900 -m 'not zoo' --cov --cov-report term:skip-covered --cov-report html:build/coverage

# mypy cannot follow the folder mapping of an editable install, so it reads the unpacked wheel.
check: wheel
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd $(WHEEL) && ../../$(BIN)/mypy --config-file ../../pyproject.toml

# Pin what is installed now: names and versions only.
lock:
	$(BIN)/python -m pip list --format freeze --exclude litetuner --exclude pip --exclude setuptools --exclude wheel > requirements.lock

clean:
	rm -rf build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache
