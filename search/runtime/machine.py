"""This machine, as jobs need to know it."""

from __future__ import annotations

import platform

from litetuner.objectives.environment import usable_cores as usable_cores


def machine_name() -> str:
    """The machine that timings and cached results belong to: host name and processor architecture."""
    return f"{platform.node()} {platform.machine()}"
