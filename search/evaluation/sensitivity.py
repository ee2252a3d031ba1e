"""Sensitivity: how much the model's outputs change when one layer alone goes to low precision. It ranks the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from litetuner.search.clock import Clock, left
from litetuner.search.evaluation.evaluator import Evaluator
from litetuner.search.evaluation.pipeline import Work
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import CandidateError, Lost
from litetuner.spaces.named_arrays import flat
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SAMPLES = 256
SHARE = 0.05  # of the time budget at most


def rank_layers(evaluator: Evaluator, clock: Clock) -> tuple[str, ...]:
    """Layers with weights, the most sensitive first; cached in ``sensitivity.json``.

    A layer's sensitivity is the mean absolute change of the outputs over a subset of the search split when its weights
    alone are quantized (to int4 where it can take that, else to int8), in units of the outputs' standard deviation.
    Outputs are compared rather than the metric: a few hundred samples hardly move an accuracy.
    """
    known = evaluator.folder.read("sensitivity")
    layers = [layer for layer in evaluator.inspection.model.layers if layer.has_kernel]
    if known is None:
        known = {"layers": {}}
        try:
            known["layers"] = _measure(evaluator, clock, layers)
            evaluator.folder.write("sensitivity", {"samples": SAMPLES, "layers": known["layers"]})
        except CandidateError as error:  # the search goes on without, and a resumed one measures again
            evaluator.folder.note("sensitivity failed", reason=str(error))
    sensitivity = {name: entry["change"] for name, entry in known["layers"].items() if entry["change"] is not None}
    # A layer that was not measured (time, or it failed alone) is ranked by place: ends of a network are sensitive.
    places = {layer.name: min(index, len(layers) - 1 - index) for index, layer in enumerate(layers)}
    ordered = sorted(sensitivity, key=lambda name: -sensitivity[name])
    return (*ordered, *sorted((name for name in places if name not in sensitivity), key=places.__getitem__))


def _measure(evaluator: Evaluator, clock: Clock, layers: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not layers:
        return found
    deadline = clock.wall + SHARE * evaluator.config.seconds if evaluator.config.seconds else float("inf")
    reference = _predict(evaluator, Candidate((step_for(Role.FLOAT)(),)), clock)
    spread = float(np.std(reference)) or 1.0
    for layer in layers:
        if left(deadline, clock) <= 0:
            found[layer.name] = {"precision": None, "change": None, "reason": "no time left for sensitivity"}
            continue
        precision = "int4" if layer.can("int4") else "int8"
        others = {other.name: "float32" for other in layers if other is not layer}
        alone = others | ({layer.name: precision} if precision == "int4" else {})
        try:
            step = step_for(Role.LAYER_PRECISION)(recipe="weight_only_wi8", layers=tuple(sorted(alone.items())))  # type: ignore[call-arg]
            changed = _predict(evaluator, Candidate((step_for(Role.FLOAT)(), step)), clock)
        except Lost:
            raise  # says nothing of the layer
        except CandidateError as error:
            found[layer.name] = {"precision": precision, "change": None, "reason": str(error)}
            continue
        found[layer.name] = {"precision": precision, "change": float(np.mean(np.abs(changed - reference))) / spread}
    return found


def _predict(evaluator: Evaluator, candidate: Candidate, clock: Clock) -> np.ndarray:
    work = Work(evaluator, candidate)
    try:
        artifact = evaluator.build(candidate, [], False, work)
        scored = evaluator.score(artifact["artifact"], "search", work, candidate, limit=SAMPLES, keep=True)
        return flat(np.load(evaluator.folder.blobs.path(scored["predictions"]), allow_pickle=False))
    finally:
        clock.count(work.known["seconds"])
