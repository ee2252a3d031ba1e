"""Which type every layer's weights have in a candidate's finished file, by what its label says."""

from __future__ import annotations

from collections.abc import Mapping

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.tflite.weights import Weight

_KEEP_TYPES = ("slim", "sparse")


def weight_type_invariants(candidate: Candidate, weights: Mapping[str, Weight]) -> list[tuple[str, str, str]]:
    """(layer, "weight_type", type) for every layer whose weights are told in the file.

    The last step that decides on types answers (``weight_types``): a conversion, or the quantizer after it. Layers that a
    step names itself are in its own ``promises``.
    """
    deciding = [step for step in candidate.deployment if step.name not in _KEEP_TYPES]
    answer = getattr(deciding[-1], "weight_types", None) if deciding else None
    return [] if answer is None else [(layer, "weight_type", kind) for layer, kind in answer(weights).items()]
