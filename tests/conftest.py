"""Options of the whole suite: the order of the files, and which litetuner is tested."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The slowest files, in the order in which parallel processes start them: a long file must not be the last one.
SLOWEST = (
    "tests/test_docs.py",
    "tests/recorded/test_artifacts.py",
    "tests/api/test_tune.py",
    "tests/reports/html/test_browser.py",
    "tests/spaces/steps/test_qat.py",
    "tests/test_examples.py",
    "tests/test_extending.py",
    "tests/spaces/channels/test_surgery.py",
    "tests/search/runtime/executors/test_local.py",
    "tests/search/test_lookahead.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="tests/recorded: write what is found, instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    """``LITETUNER_INSTALLED=1``, set by ``make test``: the installed wheel must be tested, not the source tree."""
    if os.environ.get("LITETUNER_INSTALLED") == "1":
        import litetuner

        file = Path(litetuner.__file__).resolve()
        if file.is_relative_to(ROOT / "api"):
            raise pytest.UsageError(f"LITETUNER_INSTALLED=1, but {file} is the source tree: run `make test`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
