"""The job convert: convert a checkpoint to a raw ``.tflite``."""

import dataclasses

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import ConvertJob, ConvertResult
from litetuner.spaces.building.models import base_model, know_custom_layers, restore
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.step import Stage


def convert(job: ConvertJob, workspace: Workspace) -> ConvertResult:
    """Convert the trained model of a prefix.

    If ``untrained``, the steps are applied to the tf_keras copy, with masks and centroids but without training.
    """
    know_custom_layers(workspace)
    inspected = workspace.inspected(job.inspected)
    (step,) = job.candidate.of_stage(Stage.CONVERT)
    context = make_context(workspace, inspected, job, job.candidate.steps, untrained=job.untrained)
    steps = job.candidate.prefix.steps
    if inspected.base is None:
        model = base_model(workspace, inspected)
    elif job.untrained:
        model = restore(workspace, inspected.base, (), (), context)
        for training in steps:
            model = training.apply(model, context)
    else:
        model = restore(workspace, inspected.base, job.checkpoints, steps, context)
    file, notes = step.apply_with_notes(model, dataclasses.replace(context, changed=bool(steps)))
    return ConvertResult(workspace.blobs.put(file, ".tflite"), tuple(notes))
