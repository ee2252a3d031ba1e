PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test test-zoo check lock clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "litetuner needs Python 3.11 to 3.13; %s is %s. Try: make PYTHON=python3.12" % (sys.executable, sys.version.split()[0]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

demo: install
	$(BIN)/litetuner demo

# A file of tests stays in one process, since its fixtures are dear; much of the time is waiting for processes that tests start.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-zoo: install
	$(BIN)/python -m pytest -m zoo

# mypy cannot follow the folder mapping of an editable install, so it reads the package as it is shipped.
check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/check
	$(BIN)/python -m pip install --quiet --no-deps --target build/check .
	cd build/check && ../../$(BIN)/mypy --config-file ../../pyproject.toml

# Pin what is installed now: names and versions only.
lock:
	$(BIN)/python -m pip list --format freeze --exclude litetuner --exclude pip --exclude setuptools --exclude wheel > requirements.lock

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
