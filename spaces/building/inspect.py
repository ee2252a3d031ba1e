"""The job inspect: load model and data, rebuild the model in tf_keras, list its layers, time a few training steps."""

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
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.info import DataInfo
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.workspace import Inspected, LoopSettings, LossSettings, Workspace
from litetuner.spaces.models.decision import Evidence, compiled_loss, likely_tasks
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.store import write_atomic

BRIDGE_SAMPLES = 32


def inspect(job: InspectJob, metric: MetricInfo, workspace: Workspace) -> InspectResult:
    """Run the inspection. Raises ``ModelError``, ``DataError`` or ``ConfigError`` for input that cannot be used."""
    from litetuner.spaces.models.checkpoint import write_model
    from litetuner.spaces.models.input_shapes import sample_shapes
    from litetuner.spaces.models.inspection import model_info
    from litetuner.spaces.models.loading.load import sized
    from litetuner.spaces.models.outputs import chosen_output, original_outputs
    from litetuner.spaces.models.signature import input_tensors, output_tensors

    loaded = user_model(workspace.sources)
    data = prepare(loaded, metric, job, workspace)
    split = "train" if data.counts["train"] else "search"
    sample = np.asarray(workspace.split(data, split)[0][:BRIDGE_SAMPLES])
    loaded = sized(loaded, sample_shapes(input_tensors(loaded.model), sample), workspace.sources.model)
    outputs = output_tensors(loaded.model)
    scored = chosen_output(outputs, metric.output, metric.takes_all)
    trainable, refusal, difference = rebuild(loaded.model, sample)
    base = None if trainable is None else workspace.blobs.put(write_model(trainable), ".npz")
    loss, trains = None, trainable is not None and refusal is None and data.counts["train"] and data.labeled
    if trains and (job.fit is None or job.loss is not None):
        loss, refusal = choose(trainable, loaded, metric, data, job, workspace)
    model = model_info(loaded, trainable, refusal, difference)
    original = original_outputs(loaded.model, workspace.split(data, "search")[0], outputs, scored)
    inspected = Inspected(model, data, base, loss)
    seconds, started = None, time.perf_counter()
    if trains and job.fit is not None:
        inspected = try_own(trainable, inspected, job, workspace)
    if loss is not None or inspected.loop is not None:
        seconds = seconds_per_epoch(trainable, inspected, job, workspace)
    return InspectResult(
        **{field.name: getattr(inspected, field.name) for field in dataclasses.fields(inspected)},
        metric=metric,
        inspected=workspace.blobs.put(json.dumps(inspected.to_json()).encode(), ".json"),
        original=workspace.keep_array(original),
        seconds_per_epoch=seconds,
        training_seconds=time.perf_counter() - started,
        doubts=question(loaded, outputs.index(scored) if scored else 0, original, data, workspace),
    )


def prepare(loaded: LoadedModel, metric: MetricInfo, job: InspectJob, workspace: Workspace) -> DataInfo:
    """Check the user's data and store them as arrays."""
    from litetuner.spaces.data.preparation import DataRequest, prepare_data
    from litetuner.spaces.models.inspection import output_activation
    from litetuner.spaces.models.outputs import chosen_output
    from litetuner.spaces.models.signature import input_tensors, output_tensors

    inputs, outputs = input_tensors(loaded.model), output_tensors(loaded.model)
    scored = chosen_output(outputs, metric.output, metric.takes_all)
    read = scored or outputs[0]
    index = outputs.index(read)
    compiled = compiled_loss(loaded.compiled, read.name, index)
    activation = output_activation(loaded.model, index)
    known = Evidence(metric.name, metric.tasks, activation, read.shape, compiled, job.outputs)
    trained = output_evidence(loaded) if len(outputs) > 1 else {}
    sources = workspace.sources
    progress = functools.partial(_write_progress, workspace.folder / PROGRESS)
    request = DataRequest(
        sources.data, job.seed, sources.preprocess, known, inputs, outputs, scored, job.resize, job.label, trained
    )
    return prepare_data(request, workspace.blobs, progress)


def output_evidence(loaded: LoadedModel) -> dict[str, Evidence]:
    """What is known about each output, by name, to choose its loss: its last activation and its compiled loss."""
    from litetuner.spaces.models.inspection import output_activation
    from litetuner.spaces.models.signature import output_tensors

    found = {}
    for index, tensor in enumerate(output_tensors(loaded.model)):
        compiled = compiled_loss(loaded.compiled, tensor.name, index)
        activation = output_activation(loaded.model, index)
        found[tensor.name] = Evidence("", likely_tasks(activation, compiled), activation, tensor.shape, compiled)
    return found


def question(
    loaded: LoadedModel, output: int, original: np.ndarray, data: DataInfo, workspace: Workspace
) -> tuple[str, ...]:
    """Reasons not to trust the model as a baseline.

    ``original`` are its outputs on the search split, for the output with index ``output``.
    """
    from litetuner.spaces.models.doubts import find_doubts
    from litetuner.spaces.models.signature import predict

    x, y = workspace.split(data, "search")

    def run(samples: np.ndarray) -> np.ndarray:
        return predict(loaded.model, [samples])[output]

    return find_doubts(original, y, data.decision, x, run)


def choose(
    model: Any, loaded: LoadedModel, metric: MetricInfo, data: DataInfo, job: InspectJob, workspace: Workspace
) -> tuple[LossSettings | None, str | None]:
    """The training loss, or the reason why the model is not trained.

    Raises ``ConfigError`` if the loss does not fit the model and the user chose it (by a loss, loss weights or own
    metric).
    """
    from litetuner.spaces.models.signature import output_tensors
    from litetuner.spaces.training.losses import LossWishes, choose_loss, class_weights, tried_outputs

    x, y = workspace.split(data, "train")
    weights = class_weights(job.class_weights, data.classes, y)
    outputs, weighted = tried_outputs(model, x), "w_train" in data.extras or weights is not None
    try:
        if len(outputs) > 1:
            found = choose_joint(loaded, outputs, data, job, workspace, weighted)
        elif job.loss_weights is not None:
            raise ConfigError("loss-weights: they are for models with several outputs, and this one has one.")
        else:
            compiled = compiled_loss(loaded.compiled, output_tensors(loaded.model)[0].name, 0)
            wishes = LossWishes(job.loss, metric.default_loss, metric.own_loss, compiled)
            found = choose_loss(wishes, data.decision, outputs[0], y, weighted)
    except ConfigError as error:
        if job.loss is not None or job.loss_weights is not None or metric.own_loss:
            raise
        return None, f"{error} To train it, give --loss, or --fit for a loop of your own."
    return dataclasses.replace(found, class_weights=weights), None


def choose_joint(
    loaded: LoadedModel, outputs: list[Any], data: DataInfo, job: InspectJob, workspace: Workspace, weighted: bool
) -> LossSettings:
    """The losses of a model with several outputs. Raises ``ConfigError``."""
    from litetuner.spaces.data.arrays import open_array
    from litetuner.spaces.training.joint_loss import choose_losses, output_weights

    if "labels_train" not in data.arrays:
        raise ConfigError("training needs labels of all outputs, y_train:NAME for each.")
    known = output_evidence(loaded)
    weights = output_weights(job.loss_weights, (loaded.compiled or {}).get("loss_weights"), known)
    labels = open_array(workspace.blobs, data.arrays["labels_train"])
    return choose_losses(known, data.decisions, (job.loss, weights), outputs, labels, weighted)


def _write_progress(path: Path, text: str) -> None:
    write_atomic(path, text.encode(), durable=False)


def try_own(model: Any, inspected: Inspected, job: InspectJob, workspace: Workspace) -> Inspected:
    """Try the function of ``--fit`` for one step on a copy of the model. Raises ``ConfigError`` if it does not fit."""
    from litetuner.spaces.training.own_loop import try_loop

    settings = LoopSettings(job.fit or "")
    context = make_context(workspace, dataclasses.replace(inspected, loop=settings), job)
    return dataclasses.replace(inspected, loop=LoopSettings(settings.function, try_loop(model, context)))


def seconds_per_epoch(model: Any, inspected: Inspected, job: InspectJob, workspace: Workspace) -> float:
    """The seconds of one pass over the training data, extrapolated from a few steps."""
    from litetuner.spaces.models.keras_bridge.bridge import clone
    from litetuner.spaces.training.fit import seconds_per_step
    from litetuner.spaces.training.own_loop import seconds_per_step_of_loop

    context = make_context(workspace, inspected, job)
    of_a_step = seconds_per_step if context.loop is None else seconds_per_step_of_loop
    return of_a_step(clone(model), context) * max(1.0, inspected.data.counts["train"] / context.batch_size)
