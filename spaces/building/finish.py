"""The job finish: rewrite a raw file, and verify in the finished file everything that the label says."""

from collections.abc import Mapping

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import FinishJob, FinishResult
from litetuner.spaces.building.models import know_custom_layers
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.channels.kernel_shapes import Kernel, kernels_of_checkpoint, shape_invariants
from litetuner.spaces.channels.tflite.dead import without_dead_channels
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.interpreter import partitions
from litetuner.spaces.tflite.invariants import Finding, Invariant, verify_invariants
from litetuner.spaces.tflite.weights import Weight, weights_at, weights_by_layer


def finish(job: FinishJob, workspace: Workspace) -> FinishResult:
    """The artifact of a candidate. Raises ``BuildFailed`` if the file lacks a property that its label says."""
    know_custom_layers(workspace)
    inspected = workspace.inspected(job.inspected)
    context = make_context(workspace, inspected, job, job.candidate.steps, untrained=job.untrained)
    kernels = {layer.name: layer.kernel_shape for layer in inspected.model.layers if layer.has_kernel}
    # Layer name: kernel in the checkpoint of the last step that changes shapes.
    cut = {} if job.cut is None else kernels_of_checkpoint(workspace.blobs, job.cut)
    shapes: dict[str, tuple[int, ...]] | None = kernels
    # Without such a checkpoint (an untrained copy, or channels pruned in the file), the new shapes are not known.
    if any(step.changes_shapes for step in job.candidate.steps):
        shapes = {name: kernel.shape for name, kernel in cut.items()} or None
    file, plain, notes = _rewrite(job.candidate, workspace.blobs.get(job.file), context)
    findings: list[Finding] = []
    artifact = read_artifact(file)
    if not job.untrained:
        mapped = weights_by_layer(plain, list(kernels), shapes)  # by names, which slimming removes
        weights = weights_at(file, {layer: weight.tensor_index for layer, weight in mapped.items()})
        findings = verify_invariants(_invariants(job.candidate, inspected.model, weights, cut), weights)
        broken = [item for item in findings if not item.ok]
        if broken:
            raise BuildFailed("the finished file breaks its label: " + "; ".join(_say(item) for item in broken[:3]))
    name = workspace.artifacts.put(file, ".tflite")
    return FinishResult(name, artifact, tuple(findings), notes, partitions=partitions(file))


def _rewrite(candidate: Candidate, file: bytes, context: Context) -> tuple[bytes, bytes, tuple[str, ...]]:
    """The finished file, the last file that still has the names of layers, and the notes of the steps.

    If a candidate has the float conversion and no training steps, dead channels are removed first, which is lossless.
    The baseline stays as the user's model is. Trained candidates keep the widths, zeros and clusters of their steps.
    """
    notes: list[str] = []
    from_float = any(step.role is Role.FLOAT for step in candidate.steps)
    if from_float and not candidate.prefix.steps and not candidate.is_baseline:
        alive = without_dead_channels(file, context.calibration)
        file, notes = alive.file, [alive.note] if alive.note else []
    plain = file
    for step in candidate.of_stage(Stage.REWRITE):
        file, said = step.apply_with_notes(file, context)
        notes += said
        if not step.removes_names:
            plain = file
    return file, plain, tuple(notes)


def _invariants(
    candidate: Candidate, model: ModelInfo, weights: Mapping[str, Weight], cut: Mapping[str, Kernel]
) -> list[Invariant]:
    found = []
    for step in candidate.steps:
        able = model.layers_for(step.name) if step.selects_layers else model.layers
        left = step.leaves([(layer.name, layer.type, layer.has_kernel) for layer in model.layers])
        layers = [layer.name for layer in able if layer.has_kernel and layer.name not in left]
        found += [Invariant(*each) for each in step.invariants(layers)]
    found += [Invariant(*each) for each in shape_invariants(cut)]
    known = {(each.layer, each.property) for each in found}
    found += [Invariant(*each) for each in weight_type_invariants(candidate, weights) if each[:2] not in known]
    return found


def weight_type_invariants(candidate: Candidate, weights: Mapping[str, Weight]) -> list[tuple[str, str, str]]:
    """(layer, "weight_type", type) for every layer whose weights are found in the file.

    The last deployment step that decides weight types determines the type.
    """
    said = [types for step in candidate.deployment if (types := step.weight_types(weights)) is not None]
    return [(layer, "weight_type", kind) for layer, kind in said[-1].items()] if said else []


def _say(finding: Finding) -> str:
    return f"{finding.layer}: {finding.property} requested {finding.requested}, found {finding.verified}"
