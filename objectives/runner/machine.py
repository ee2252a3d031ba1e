"""The runner's machine: its description, its cores, and other load on it. Part of the runner (``runner.FILES``)."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.runner.error import RunnerError

try:
    import resource
except ImportError:  # Windows, where lost time slices are not counted
    resource = None  # type: ignore[assignment]

COUNTS_LOST_SLICES = resource is not None
FLAGS = "avx avx2 fma f16c avx_vnni avx512f avx512bw avx512_vnni avx512_bf16 amx_int8 asimd asimdhp asimddp i8mm bf16 sve sve2"


def read_text(path: str) -> str | None:
    """The content of a small kernel file, ``None`` if it does not exist or cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def core_times() -> dict[int, tuple[float, float]]:
    """Seconds (busy, stolen by the hypervisor) of each core since boot; empty if there is no /proc/stat."""
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    found = {}
    for line in (read_text("/proc/stat") or "").splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit():
            user, nice, system, _idle, _wait, irq, soft, steal = (int(n) / tick for n in numbers[:8])
            found[int(name[3:])] = (user + nice + system + irq + soft + steal, steal)
    return found


def choose_cores(asked: str, threads: int) -> tuple[int, ...] | None:
    """Pin the process to cores and return them, or ``None`` if it is not pinned.

    ``asked`` is ``none``, core numbers, or ``auto``: the least busy of the fastest cores, one for each thread.
    """
    if asked == "none" or not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    chosen = tuple(int(part) for part in asked.split(",") if part.isdecimal())
    if asked == "auto":
        speed = {c: int(read_text(f"/sys/devices/system/cpu/cpu{c}/cpu_capacity") or 0) for c in allowed}
        before = core_times()
        time.sleep(0.1)
        busy = {core: now - before[core][0] for core, (now, _) in core_times().items() if core in before}
        # Of equally idle cores, prefer the last one, because interrupts are often handled by the first ones.
        ranked = sorted(allowed, key=lambda core: (-speed[core], busy.get(core, 0.0), -core))
        chosen = tuple(sorted(ranked[:threads]))
    elif not chosen or not set(chosen) <= set(allowed):
        raise RunnerError("usage", "", f"core {asked!r} is not among the allowed cores {allowed}")
    os.sched_setaffinity(0, chosen)
    return chosen


def raise_priority() -> str:
    """Request the highest priority and report the result. Without the permission, the priority stays unchanged."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        # A session has its own scheduling group (autogroup). The niceness of a process counts only inside this group.
        if os.getsid(0) == os.getpid() and os.path.exists("/proc/self/autogroup"):
            Path("/proc/self/autogroup").write_text("-20")
    except (OSError, AttributeError) as error:
        return f"not raised: {error}"
    return "niceness -20"


def die_with(parent: int) -> None:
    """Let this process end when its parent ends, even while it is stopped (Linux). Exits if the parent is gone."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that started this one is gone")


def throttle_count(cores: tuple[int, ...] | None) -> int | None:
    """The number of thermal throttling events of the pinned cores since boot; ``None`` if they are not counted."""
    paths = (f"/sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count" for core in cores or (0,))
    counts = [read_text(path) for path in paths]
    return sum(int(count) for count in counts if count) if any(counts) else None


def load_average() -> list[float] | None:
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def lost_slices() -> int:
    """The number of involuntary context switches of this process; 0 if the system does not count them."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0


def cpu_info(field: str) -> str | None:
    lines = (line.partition(":") for line in (read_text("/proc/cpuinfo") or "").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == field), None)


def clock_of(cores: tuple[int, ...] | None) -> dict[str, Any]:
    """The governor and the frequency of the first pinned core; ``None`` for a value that the kernel does not report."""
    folder, mhz = f"/sys/devices/system/cpu/cpu{(cores or (0,))[0]}/cpufreq", cpu_info("cpu MHz")
    khz = read_text(f"{folder}/scaling_cur_freq") or (float(mhz) * 1000 if mhz else None)
    return {"governor": read_text(f"{folder}/scaling_governor"), "frequency_mhz": khz and float(khz) / 1000}


def describe_machine(cores: tuple[int, ...] | None) -> dict[str, Any]:
    """Everything that is needed to interpret a latency: processor, settings, versions."""
    flags = (cpu_info("flags") or cpu_info("Features") or "").split()
    name = cpu_info("model name") or read_text("/proc/device-tree/model") or platform.processor() or platform.machine()
    found: dict[str, Any] = {"cpu": name, "cpu_flags": [flag for flag in FLAGS.split() if flag in flags]}
    found |= {"cores": os.cpu_count(), "pinned_cores": list(cores) if cores else None}
    found |= {"runtime": "ai-edge-litert", "runtime_version": importlib.metadata.version("ai-edge-litert")}
    found |= {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform()}
    return found | {"os": platform.system(), "machine": platform.machine()} | clock_of(cores)
