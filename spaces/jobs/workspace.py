"""Where a worker finds the inputs of its jobs: blobs and files by sha256, the user's files by session settings."""

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
    """The user's files and functions in this session. Jobs do not contain them, so that no key depends on a path."""

    model: str = ""
    data: str = ""
    trust: bool = False
    preprocess: str | None = None
    custom_objects: str | None = None
    functions: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)  # see ``python_functions.pickles``


@dataclasses.dataclass(frozen=True)
class LossSettings(Record):
    """The training loss, which the inspection has tested on samples.

    ``name`` is a tf_keras loss with its ``config``, or ``module:function``. If ``one_hot`` is set (to the number of
    classes), class numbers are one-hot encoded for the loss. ``class_weights`` are indexed by class number. ``source``
    says who chose the loss. For a model with several outputs, ``outputs`` has one loss for each output, with the
    ``position`` of that output and its ``weight`` in the sum.
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
    """The user's own training loop, ``module:function``, which the inspection has tested.

    ``tunes`` is true if the loop uses the optimizer that it receives, so that a search can tune the learning rate.
    """

    function: str
    tunes: bool = True


@dataclasses.dataclass(frozen=True)
class Inspected(Record):
    """The findings of an inspection that all later jobs need. They are stored as a blob, which jobs name by its sha256.

    ``base`` is the blob with the tf_keras model, ``None`` if the model cannot be rebuilt. ``loss`` is ``None`` if the
    model is not trained, or if the user's own ``loop`` (``--fit``) trains it without a known loss.
    """

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: LossSettings | None
    loop: LoopSettings | None = None


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folder of a run as a worker sees it. ``blobs`` stores data for other jobs, ``artifacts`` finished files."""

    folder: Path
    blobs: Store
    artifacts: Store
    sources: Sources

    def inspected(self, blob: str) -> Inspected:
        """The findings of the inspection, by the name of their blob."""
        return _inspected(self.blobs, blob)

    def split(self, info: DataInfo, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels of a prepared split, see ``open_split``."""
        return open_split(self.blobs, info.arrays, split)

    def keep_array(self, values: np.ndarray) -> str:
        """Store an array as a blob and return the name of the blob."""
        if values.nbytes >= IN_MEMORY_BYTES:
            writer = ArrayWriter(self.blobs)
            writer.write("kept", values.shape, values.dtype, chunks(values))
            return writer.arrays["kept"]
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(values), allow_pickle=False)
        return self.blobs.put(buffer.getvalue(), ".npy")

    def array(self, blob: str) -> np.ndarray:
        """The array in a blob, verified, memory-mapped and read-only."""
        return open_array(self.blobs, blob)


@functools.lru_cache(maxsize=4)
def _inspected(blobs: Store, blob: str) -> Inspected:
    return Inspected.from_json(json.loads(blobs.get(blob)))
