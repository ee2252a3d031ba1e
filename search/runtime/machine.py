"""This machine: its package versions, its memory, and how many trials it can run in parallel."""

import functools
import importlib.metadata
import platform
from pathlib import Path

import psutil

from litetuner.objectives.environment import usable_cores as usable_cores
from litetuner.objectives.runner import machine as runner_machine
from litetuner.spaces.jobs.environment import Environment

# The results of jobs depend on these packages. The quantizer has two names, see ``QUANTIZERS``.
PACKAGES = ("litetuner", "tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
# Cores that one trial keeps busy, until a run has measured the number. A guess: TensorFlow trains on all cores.
CORES_EACH = 2.0
# Memory of one trial: a worker with TensorFlow and one that scores. ResNet8 needed 1.3 GB, larger models need more.
TRIAL_BYTES = 2e9
QUANTIZERS = ("litert-quantizer", "ai-edge-quantizer")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on. Packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *QUANTIZERS):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def this_environment() -> Environment:
    return Environment(package_versions(), f"{platform.node()} {platform.machine()}", _processor())


def parallel_trials(cores_each: float = CORES_EACH) -> int:
    """How many trials this machine can run in parallel if each uses ``cores_each`` cores. Memory is also a limit."""
    cores = usable_cores()
    return max(1, min(cores, int(cores / max(cores_each, 1.0 / cores)), int(memory_bytes() / TRIAL_BYTES)))


def slowdown(parallel: int) -> float:
    """The expected factor by which a job takes longer if ``parallel`` trials share the cores than if it runs alone."""
    return min(float(parallel), max(1.0, parallel * CORES_EACH / usable_cores()))


@functools.cache
def memory_bytes() -> int:
    """The memory of this machine, or the limit of its container if that is smaller (cgroup versions 1 and 2)."""
    found = [psutil.virtual_memory().total]
    for line in (runner_machine.read_text("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        root, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        if controllers in ("", "memory"):
            # Inside a container, the path may not exist, so its parents are tried, too.
            folders = [Path("/", path), *Path("/", path).parents]
            files = (Path("/sys/fs/cgroup", root, *folder.parts[1:], name) for folder in folders)
            texts = [runner_machine.read_text(str(file)) for file in files]
            found += [int(text) for text in texts if text and text.isdecimal()]
    return min(found)


@functools.cache
def _processor() -> str:
    return str(runner_machine.describe_machine(None)["cpu"])
