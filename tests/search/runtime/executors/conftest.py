"""Local executors whose workers misbehave on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from litetuner.search.runtime.executors.local import Local
from tests.search.runtime.executors.misbehaving import misbehaving


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Local]:
    with misbehaving(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with misbehaving(tmp_path_factory.mktemp("lasting")) as found:
        yield found
