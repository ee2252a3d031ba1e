"""JSON without NaN and infinity."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """A JSON value with ``None`` for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
