"""The description of this machine in reports."""

import importlib.metadata
import os
import platform
from typing import Any

import psutil

from litetuner.objectives.runner import machine as runner_machine

PACKAGES = "tensorflow keras tf-keras tensorflow-model-optimization ai-edge-litert litert-quantizer optuna numpy"
HEAVY_LOAD = 0.5  # load average of the last minute per core; above this, latency measurements are disturbed


def environment() -> dict[str, Any]:
    """Processor, memory, system and package versions, for reports.

    The packages are not imported. The version of a package that is not installed is ``None`` (``null`` in JSON).
    """
    memory = psutil.virtual_memory()
    machine = runner_machine.describe_machine(None)
    return {
        "cpu": machine["cpu"],
        "cpu_flags": machine["cpu_flags"],
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": memory.total,
        "governor": machine["governor"],
        "os": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES.split()},
        "load_average": runner_machine.load_average(),
    }


def host_warnings() -> list[str]:
    """Reasons why latencies on this machine are unstable, with a remedy, one sentence each; empty if there are none."""
    usable, load = usable_cores(), runner_machine.load_average()
    governor = runner_machine.describe_machine(None)["governor"]
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    warnings = []
    if usable < 2:
        warnings.append("Only one core is usable: other processes share it with the file that is timed.")
    if load and load[0] > HEAVY_LOAD * usable:
        busy = f"The load average is {load[0]:g} on {usable} cores"
        warnings.append(f"{busy}: stop other work, or expect wide latency intervals.")
    if governor not in (None, "performance", "schedutil"):
        remedy = "`cpupower frequency-set -g performance` makes timings stable."
        warnings.append(f"The frequency governor is {governor!r}: {remedy}")
    if battery is not None and not battery.power_plugged:
        warnings.append("The machine runs on its battery, which lowers the clock: plug it in before timing.")
    return warnings


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
