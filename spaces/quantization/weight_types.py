"""Which type every layer's weights have in a candidate's finished file, by what its steps say."""

from __future__ import annotations

from collections.abc import Mapping

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.tflite.weights import Weight


def weight_type_invariants(candidate: Candidate, weights: Mapping[str, Weight]) -> list[tuple[str, str, str]]:
    """(layer, "weight_type", type) for every layer whose weights are told in the file.

    The last step that decides on types says which: a conversion, or the quantizer after it.
    """
    said = [types for step in candidate.deployment if (types := step.weight_types(weights)) is not None]
    return [(layer, "weight_type", kind) for layer, kind in said[-1].items()] if said else []
