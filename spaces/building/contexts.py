"""The context of a job: the data, the calibration samples and the loss that its steps use."""

from typing import Any

import numpy as np

from litetuner.spaces.building.jobs import BuildJob, InspectJob
from litetuner.spaces.building.models import base_model
from litetuner.spaces.context import Context
from litetuner.spaces.data.arrays import open_array
from litetuner.spaces.jobs.workspace import Inspected, Workspace
from litetuner.spaces.step import Step


def make_context(
    workspace: Workspace,
    inspected: Inspected,
    job: BuildJob[Any] | InspectJob,
    steps: tuple[Step, ...] = (),
    *,
    untrained: bool = False,
) -> Context:
    """The context for some steps. The number of calibration samples is the job's, unless a step sets another one."""
    from litetuner.spaces.training.joint_loss import joint_loss
    from litetuner.spaces.training.losses import make_loss
    from litetuner.spaces.training.own_loop import make_loop

    loss, data = inspected.loss, inspected.data
    x, y = workspace.split(data, "train")
    weights = open_array(workspace.blobs, data.arrays["w_train"]) if "w_train" in data.extras else None
    if loss is not None and loss.class_weights is not None:
        by_class = np.asarray(loss.class_weights, np.float32)[y]
        weights = by_class if weights is None else by_class * weights
    samples = x[:0]
    if data.counts["train"]:
        samples = _calibration(workspace, inspected, steps, job.calibration, job.seed)
    if "labels_train" in data.arrays:
        y = open_array(workspace.blobs, data.arrays["labels_train"])
    if not inspected.data.labeled:
        x, y = x[:0], y[:0]
    return Context(
        x_train=x,
        y_train=y,
        calibration=samples,
        loss=None if loss is None else joint_loss(loss) if loss.outputs else make_loss(loss),
        loop=None if inspected.loop is None else make_loop(inspected.loop.function),
        soft_loss=_soft_loss(inspected),
        w_train=weights,
        batch_size=job.batch_size,
        seed=job.seed,
        untrained=untrained,
    )


def _soft_loss(inspected: Inspected) -> Any:
    from litetuner.spaces.training.joint_loss import joint_soft_loss
    from litetuner.spaces.training.losses import soft_loss

    loss, data = inspected.loss, inspected.data
    if loss is None:
        return None
    return joint_soft_loss(data.decisions, loss) if loss.outputs else soft_loss(data.decision, loss)


def _calibration(
    workspace: Workspace, inspected: Inspected, steps: tuple[Step, ...], count: int, seed: int
) -> np.ndarray:
    """The calibration samples that the last step with a ``selection`` sets; without one, ``count`` balanced samples."""
    from litetuner.spaces.data.calibration import select_samples

    asked: dict[str, Any] = next((step.knobs() for step in reversed(steps) if "selection" in step.knobs()), {})

    def outputs(samples: np.ndarray) -> np.ndarray:
        from litetuner.spaces.data.named_arrays import parts
        from litetuner.spaces.models.signature import predict

        model = base_model(workspace, inspected)
        return np.concatenate([out.reshape(len(samples), -1) for out in predict(model, parts(samples))], axis=1)

    x, y = workspace.split(inspected.data, "train")
    selection = asked.get("selection", "balanced")
    return select_samples(x, y, asked.get("calibration") or count, selection, seed, outputs)
