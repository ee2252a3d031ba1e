"""The small networks of ``channel_nets``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spaces.channels.channel_nets import (
    NETS,
    build,
)


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return {name: build(shape, body) for name, (body, shape) in NETS.items()}
