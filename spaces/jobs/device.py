"""The training device. It is chosen once per search, from the user's setting and the GPUs that TensorFlow sees."""

import dataclasses
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from litetuner.spaces.errors import HostError
from litetuner.spaces.jobs.safe_path import python_command, python_environment

T = TypeVar("T")
VISIBLE = "CUDA_VISIBLE_DEVICES"
FILES = ("nvidia[0-9]*", "kfd")  # files in /dev that exist if a GPU driver is loaded
COUNT = "import tensorflow; print('GPUS', len(tensorflow.config.list_physical_devices('GPU')))"
COUNT_SECONDS = 120.0  # with CUDA, TensorFlow takes up to about ten seconds to start


@dataclasses.dataclass(frozen=True)
class Device:
    """``kind`` is part of the key of training jobs; ``gpus`` are the GPUs in the form of ``CUDA_VISIBLE_DEVICES``."""

    kind: Literal["cpu", "gpu"] = "cpu"
    gpus: tuple[str, ...] = ()

    def visible(self, worker: int) -> str:
        """The value of ``CUDA_VISIBLE_DEVICES`` for the worker with this number: one GPU, or ``-1`` for none."""
        return self.gpus[worker % len(self.gpus)] if self.gpus else "-1"


def choose_device(wish: str, gpus: Sequence[str]) -> Device:
    """The device for a setting: ``auto`` (GPUs if there are any), ``cpu``, ``gpu`` or ``gpu:N`` (counted from 0).

    Raises ``HostError`` for a GPU that does not exist.
    """
    kind, _, number = wish.partition(":")
    if kind == "cpu" or (kind == "auto" and not gpus):
        return Device()
    if not gpus or (number and int(number) >= len(gpus)):
        raise HostError(
            f"--device {wish}: TensorFlow sees {len(gpus) or 'no'} GPU{'' if len(gpus) == 1 else 's'} here. Install the driver "
            "and `pip install 'litetuner[gpu]'`, or use --device cpu."
        )
    return Device("gpu", (gpus[int(number)],) if number else tuple(gpus))


def find_gpus() -> tuple[str, ...]:
    """The GPUs that TensorFlow sees in a separate process. Without a GPU driver, no process is started."""
    if not any(found for name in FILES for found in Path("/dev").glob(name)):
        return ()
    command, environment = python_command("-c", COUNT), python_environment()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COUNT_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return ()
    count = int(done.stdout.rpartition("GPUS")[2].strip() or 0) if "GPUS" in done.stdout else 0
    named = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return tuple(named[:count]) if named else tuple(map(str, range(count)))


def prepare_gpus(tf: Any) -> list[str]:
    """Enable memory growth on all GPUs that this worker sees, and return the names of these GPUs."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def on_cpu(tf: Any, gpus: Sequence[str], do: Callable[[Any], T]) -> Callable[[Any], T]:
    """Wrap a job function so that it computes on the CPU, even if the worker sees ``gpus``."""
    if not gpus:
        return do

    def done(job: Any) -> T:
        with tf.device("/CPU:0"):
            return do(job)

    return done
