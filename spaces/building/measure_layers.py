"""The job measure_layers: statistics of the layers of a float file, computed once per run."""

import dataclasses
from collections.abc import Sequence

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import MeasureLayersJob
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.reconstruction.allocation.statistics import Statistics, measure
from litetuner.spaces.reconstruction.sequence import samples_of
from litetuner.spaces.tflite.operators import names_of_layers, read_operators
from litetuner.spaces.tflite.weights import weights_by_layer


def measure_layers(job: MeasureLayersJob, workspace: Workspace) -> Statistics:
    """Measure the layers on the samples that a reconstruction uses.

    Raises ``Refused`` if there are no samples, and ``BuildFailed`` with the name of a layer that cannot be measured.
    """
    inspected, file = workspace.inspected(job.inspected), workspace.blobs.get(job.file)
    found = measure(file, samples_of(make_context(workspace, inspected, job)), job.seed)
    return with_keras_layers(found, file, inspected.model.layers)


def with_keras_layers(found: Statistics, file: bytes, layers: Sequence[LayerInfo]) -> Statistics:
    """The statistics with ``keras_layer`` set for each operator whose Keras layer is certain."""
    shapes = {layer.name: layer.kernel_shape for layer in layers if layer.has_kernel}
    owners = {weight.operator_index: name for name, weight in weights_by_layer(file, list(shapes), shapes).items()}
    operators = names_of_layers(read_operators(file))
    named = (dataclasses.replace(each, keras_layer=owners.get(operators[each.name], "")) for each in found.layers)
    return Statistics(tuple(named))
