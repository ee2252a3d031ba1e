"""The job train: run one step of a prefix on the checkpoint of the step before it."""

import dataclasses
import itertools
import time
from collections.abc import Iterator

import numpy as np

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import TrainJob, TrainResult
from litetuner.spaces.building.models import base_model, know_custom_layers, restore
from litetuner.spaces.context import Context
from litetuner.spaces.data.arrays import ArrayWriter
from litetuner.spaces.errors import Refused, RunError
from litetuner.spaces.jobs.workspace import Inspected, Workspace
from litetuner.spaces.models.decision import Activation, Decision
from litetuner.spaces.store import read_json, write_json


def train(job: TrainJob, workspace: Workspace) -> TrainResult:
    """Train, and store the checkpoint as a blob. Raises ``Refused`` for a model without a tf_keras copy."""
    from litetuner.spaces.models.checkpoint import write_model, write_weights

    know_custom_layers(workspace)
    inspected = workspace.inspected(job.inspected)
    if inspected.base is None:
        raise Refused("this model cannot be trained")
    *before, step = job.prefix.steps
    context = make_context(workspace, inspected, job)
    if step.knobs().get("distill"):
        context = dataclasses.replace(context, teacher=_teacher(workspace, inspected, context))
    parent = restore(workspace, inspected.base, job.parents, before, context)
    started = time.perf_counter()
    trained = step.apply(parent, context)
    seconds = time.perf_counter() - started
    write = write_weights if step.restored_by_wrapping else write_model
    return TrainResult(workspace.blobs.put(write(trained), ".npz"), seconds, tuple(step.notes(parent)))


def _links(inspected: Inspected) -> dict[str, Activation]:
    """The activation that converts the raw values of each output to probabilities, by output name."""
    data, names = inspected.data, list(inspected.model.outputs)
    decisions = data.decisions if len(names) > 1 else dict.fromkeys(names, data.decision)
    found: dict[str, Decision | None] = {name: decisions.get(name) for name in names}
    return {name: "none" if decision is None else decision.link for name, decision in found.items()}


def _keep(batches: Iterator[np.ndarray], count: int, workspace: Workspace) -> str:
    """Write batches as one array of ``count`` rows and return the name of its blob."""
    first = next(batches)
    writer = ArrayWriter(workspace.blobs)
    writer.write("teacher", (count, *first.shape[1:]), first.dtype, itertools.chain([first], batches))
    return writer.arrays["teacher"]


def _teacher(workspace: Workspace, inspected: Inspected, context: Context) -> np.ndarray | None:
    """The baseline's outputs on the training data, computed once per run and then memory-mapped.

    ``None`` if there is no training data, or if the outputs would need more than ``LARGEST_BYTES``.
    """
    from litetuner.spaces.training.distillation import LARGEST_BYTES, teacher_targets

    if not len(context.x_train) or len(context.x_train) * inspected.model.output_values * 4 > LARGEST_BYTES:
        return None
    name = workspace.folder / "cache" / "teacher.json"
    belongs = f"{inspected.base} {inspected.data.sha256}"
    try:
        blob = str(read_json(name, seal=belongs)["blob"])
    except (OSError, RunError):
        blob = ""
    if not workspace.blobs.has(blob):
        batches = teacher_targets(base_model(workspace, inspected), context.x_train, _links(inspected))
        blob = _keep(batches, len(context.x_train), workspace)
        write_json(name, {"blob": blob}, seal=belongs, durable=False)
    found: np.ndarray = np.load(workspace.blobs.path(blob), mmap_mode="r", allow_pickle=False)
    return found
