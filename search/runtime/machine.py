"""This machine, as jobs need to know it."""

from __future__ import annotations

import os
import platform


def machine_name() -> str:
    """Whose timings and cached results these are: the host's name and its processor's architecture."""
    return f"{platform.node()} {platform.machine()}"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
