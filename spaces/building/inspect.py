"""The job inspect: load model and data, rebuild the model in tf_keras, classify its layers, time a few training steps."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import PROGRESS, InspectJob, InspectResult
from litetuner.spaces.building.models import user_model
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.info import DataInfo
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.workspace import Inspected, LossSettings, Workspace
from litetuner.spaces.store import write_atomic

DATA_FOLDER = "cache/data"  # of the prepared arrays, below the run folder
BRIDGE_SAMPLES = 32
# Trainings of so many steps tell how long a step takes; the last one only where steps are short.
TIMED_STEPS = (1, 6, 60)
SHORT_SECONDS = 1.0
SHORTEST_STEP = 0.001  # seconds; less cannot be told from the noise of tracing


def inspect(job: InspectJob, metric: MetricInfo, workspace: Workspace) -> InspectResult:
    """Raises ``ModelError``, ``DataError`` or ``ConfigError`` for what the user gave and cannot be used."""
    from litetuner.spaces.data.arrays import open_split
    from litetuner.spaces.models.checkpoint import write_model
    from litetuner.spaces.models.input_shapes import sample_shapes
    from litetuner.spaces.models.inspection import model_info
    from litetuner.spaces.models.loading.load import sized
    from litetuner.spaces.models.outputs import chosen_output, original_outputs
    from litetuner.spaces.models.signature import input_tensors, output_tensors

    loaded = user_model(workspace.sources)
    data = prepare(loaded.model, metric, workspace, job.seed, job.resize, job.label)
    folder = workspace.data(data)
    split = "train" if data.counts["train"] else "search"
    sample = np.asarray(open_split(folder, split)[0][:BRIDGE_SAMPLES])
    loaded = sized(loaded, sample_shapes(input_tensors(loaded.model), sample), workspace.sources.model)
    outputs = output_tensors(loaded.model)
    scored = chosen_output(outputs, metric.output, metric.takes_all)
    trainable, refusal, difference = rebuild(loaded.model, sample)
    base = None if trainable is None else workspace.blobs.put(write_model(trainable), ".npz")
    model = model_info(loaded, trainable, refusal, difference)
    original = original_outputs(loaded.model, open_split(folder, "search")[0], outputs, scored)
    loss = LossSettings(metric.default_loss, job.loss, model.output_activation, model.output_shape)
    inspected = Inspected(model, data, base, loss)
    seconds, started = None, time.perf_counter()
    if trainable is not None and refusal is None and data.counts["train"] and data.labeled:
        seconds = seconds_per_epoch(trainable, inspected, job, workspace)
    return InspectResult(
        **{field.name: getattr(inspected, field.name) for field in dataclasses.fields(inspected)},
        metric=metric,
        inspected=workspace.blobs.put(json.dumps(inspected.to_json()).encode(), ".json"),
        original=workspace.keep_array(original),
        seconds_per_epoch=seconds,
        training_seconds=time.perf_counter() - started,
    )


def prepare(
    model: Any,
    metric: MetricInfo,
    workspace: Workspace,
    seed: int,
    resize: tuple[str, ...] = ("bilinear",),
    label: str | None = None,
) -> DataInfo:
    """The user's data, checked and written as arrays into the run folder; its folder is relative to that."""
    from litetuner.spaces.data.preparation import DataRequest, prepare_data
    from litetuner.spaces.models.outputs import chosen_output
    from litetuner.spaces.models.signature import input_tensors, output_tensors

    inputs, outputs = input_tensors(model), output_tensors(model)
    scored = chosen_output(outputs, metric.output, metric.takes_all)
    sources = workspace.sources
    request = DataRequest(sources.data, seed, sources.preprocess, metric.task, inputs, outputs, scored, resize, label)
    progress = functools.partial(_write_progress, workspace.folder / PROGRESS)
    found = prepare_data(request, workspace.folder / DATA_FOLDER, progress)
    return dataclasses.replace(found, folder=DATA_FOLDER)


def _write_progress(path: Path, text: str) -> None:
    write_atomic(path, text.encode(), durable=False)


def seconds_per_epoch(model: Any, inspected: Inspected, job: InspectJob, workspace: Workspace) -> float:
    """How long one pass over the training data takes."""
    from litetuner.spaces.models.keras_bridge.bridge import clone
    from litetuner.spaces.training.fit import fit

    context = make_context(workspace, inspected, job)
    steps = max(1.0, inspected.data.counts["train"] / context.batch_size)
    copy = clone(model)
    before, a_step = 0.0, SHORTEST_STEP
    for last, count in zip((0, *TIMED_STEPS), TIMED_STEPS, strict=False):
        started = time.perf_counter()
        fit(copy, context, epochs=count / steps, learning_rate=0.0)
        seconds = time.perf_counter() - started
        if last:  # each traces the graph anew, so the difference of two does not hold that
            a_step = max((seconds - before) / (count - last), SHORTEST_STEP)
            if seconds - before > SHORT_SECONDS:
                break
        before = seconds
    return a_step * steps
