"""A PostgreSQL server, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from tests.search.runs.databases.postgresql import Postgresql, lacking

    if lacking():
        pytest.skip(lacking())
    server = Postgresql()
    yield server
    server.remove()
