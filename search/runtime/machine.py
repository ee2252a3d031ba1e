"""This machine and its packages, as jobs need to know them."""

import functools
import importlib.metadata
import platform
from pathlib import Path

import psutil

from litetuner.objectives.environment import usable_cores as usable_cores
from litetuner.objectives.runner import machine as runner_machine
from litetuner.spaces.jobs.environment import Environment

# What the results of jobs depend on. The quantizer has two names.
PACKAGES = ("litetuner", "tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
CORES_EACH = 2.0  # that one trial keeps busy, until a run has measured it. A guess: TensorFlow trains on all it finds
TRIAL_BYTES = (
    2e9  # of a worker with TensorFlow and one that scores: 1.3 GB were seen on ResNet8, larger models need more
)
QUANTIZERS = ("litert-quantizer", "ai-edge-quantizer")


def package_versions() -> dict[str, str]:
    """Versions of the packages that determine results, and of Python; a package that is not installed is left out."""
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
    """How many trials this machine can run at once, if one keeps so many cores busy."""
    cores = usable_cores()
    return max(1, min(cores, int(cores / max(cores_each, 1.0 / cores)), int(memory_bytes() / TRIAL_BYTES)))


def slowdown(parallel: int) -> float:
    """How many times longer a job should take where so many trials share the cores than it takes alone."""
    return min(float(parallel), max(1.0, parallel * CORES_EACH / usable_cores()))


@functools.cache
def memory_bytes() -> int:
    """The memory of this machine, or of its container (cgroup versions 1 and 2)."""
    found = [psutil.virtual_memory().total]
    for line in (runner_machine.read_text("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        root, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        if controllers in ("", "memory"):
            folders = [
                Path("/", path),
                *Path("/", path).parents,
            ]  # a container may not see what its path is called outside
            files = (Path("/sys/fs/cgroup", root, *folder.parts[1:], name) for folder in folders)
            texts = [runner_machine.read_text(str(file)) for file in files]
            found += [int(text) for text in texts if text and text.isdecimal()]
    return min(found)


@functools.cache
def _processor() -> str:
    return str(runner_machine.describe_machine(None)["cpu"])
