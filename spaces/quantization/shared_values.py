"""Which clustered kernels lose their shared values because the converter uses one scale per channel."""

from collections.abc import Iterable

from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.step import Step
from litetuner.spaces.tflite.weight_operators import OPERATORS_OF_LAYER


def values_by_channel(steps: Iterable[Step], skip: Iterable[str], around: SpaceConstraints) -> list[str]:
    """Layers of ``skip`` with clusters shared by the whole kernel that would get one scale per channel.

    For weights that were not trained for int8, the converter always uses one scale per channel, except for embeddings.
    """
    found = []
    for step in steps:
        knobs = step.knobs()
        if step.makes == "clusters" and knobs["fold"] and not knobs["per_channel"]:
            shared = [layer for layer in around.model.layers_for(step.name) if layer.name not in knobs["skip"]]
            left = [layer for layer in shared if layer.name in set(skip)]
            found += [layer.name for layer in left if OPERATORS_OF_LAYER.get(layer.type) != ("GATHER",)]
    return found
