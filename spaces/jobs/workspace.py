"""Where a worker finds what its jobs name: blobs and files by sha256, the user's own files by the session's settings."""

import dataclasses
import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.data.arrays import IN_MEMORY_BYTES, ArrayWriter, chunks, open_array, open_split
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.store import Store


@dataclasses.dataclass(frozen=True)
class Sources(Record):
    """The user's files and functions as this session finds them; no job holds these, so that no key depends on a path."""

    model: str = ""
    data: str = ""
    trust: bool = False
    preprocess: str | None = None
    custom_objects: str | None = None
    functions: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)  # see ``python_functions.pickles``


@dataclasses.dataclass(frozen=True)
class LossSettings(Record):
    """The training loss, which was tried on samples when the model was inspected.

    ``name`` is a tf_keras loss with its ``config``, or ``module:function``. With ``one_hot`` (the number of classes) it gets
    class numbers as rows of 0 and 1. ``class_weights`` are by class number. ``source`` says who chose it.
    Of several ``outputs`` each has its own loss, with its ``position`` among them and its ``weight`` in the sum.
    """

    name: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    one_hot: int | None = None
    class_weights: tuple[float, ...] | None = None
    source: str = ""
    outputs: dict[str, "LossSettings"] = dataclasses.field(default_factory=dict)
    position: int = 0
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class LoopSettings(Record):
    """A training loop of the user's, ``module:function``, which was tried when the model was inspected.

    ``tunes``: does it take the optimizer that it is given, so that the learning rate can be chosen?
    """

    function: str
    tunes: bool = True


@dataclasses.dataclass(frozen=True)
class Inspected(Record):
    """What an inspection found, which all later jobs need; kept as a blob, so that a job names it by its sha256.

    ``base`` is the tf_keras model as a blob, ``None`` where the model cannot be rebuilt; ``loss`` is ``None`` where it is
    not trained, or by ``loop``, a function of the user's (``--fit``), without a loss that is known.
    """

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: LossSettings | None
    loop: LoopSettings | None = None


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folder of a run as a worker sees it. ``blobs`` keeps what jobs pass on, ``artifacts`` the finished files."""

    folder: Path
    blobs: Store
    artifacts: Store
    sources: Sources

    def inspected(self, blob: str) -> Inspected:
        """What the inspection found, by the name of its blob."""
        return _inspected(self.blobs, blob)

    def split(self, info: DataInfo, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels of a prepared split, see ``open_split``."""
        return open_split(self.blobs, info.arrays, split)

    def keep_array(self, values: np.ndarray) -> str:
        """Keep an array as a blob and return its name."""
        if values.nbytes >= IN_MEMORY_BYTES:
            writer = ArrayWriter(self.blobs)
            writer.write("kept", values.shape, values.dtype, chunks(values))
            return writer.arrays["kept"]
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(values), allow_pickle=False)
        return self.blobs.put(buffer.getvalue(), ".npy")

    def array(self, blob: str) -> np.ndarray:
        """The array of a blob, verified, memory-mapped and read-only."""
        return open_array(self.blobs, blob)


@functools.lru_cache(maxsize=4)
def _inspected(blobs: Store, blob: str) -> Inspected:
    return Inspected.from_json(json.loads(blobs.get(blob)))
