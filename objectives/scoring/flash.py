"""The job flash: the number of bytes of a file in flash, with look-up tables for clustered weights."""

import numpy as np

from litetuner.objectives.scoring.jobs import FlashJob, FlashResult
from litetuner.objectives.tflm.agreement import FilePorts
from litetuner.objectives.tflm.compression import find_tables, flash_of
from litetuner.objectives.tflm.interpreter import installed
from litetuner.spaces.jobs.workspace import Workspace


def measure_flash(job: FlashJob, workspace: Workspace) -> FlashResult:
    """Find the smaller of the plain and the compressed file, see ``flash_of``."""
    content = workspace.artifacts.get(job.artifact)
    if not installed():
        reason = "look-up tables need TensorFlow Lite Micro: pip install --pre 'litetuner[tflm]'"
        return FlashResult(len(content), None, reason, (), 0, 0)
    if not find_tables(content):  # return before the samples are read
        return FlashResult(len(content), None, "no weights have few enough values for a look-up table", (), 0, 0)
    x, _ = workspace.split(workspace.inspected(job.inspected).data, "search")
    found = flash_of(content, FilePorts(content).raw_inputs(np.asarray(x[: job.samples])))
    blob = None if found.file is None else workspace.blobs.put(found.file, ".tflite")
    tables = tuple((table.tensor, table.bits) for table in found.tables)
    return FlashResult(found.size, blob, found.reason, tables, found.samples, found.arena_bytes)
