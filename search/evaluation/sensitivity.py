"""Sensitivity: how much the model's outputs change when one layer alone goes to low precision, or is treated otherwise."""

import dataclasses
from typing import Any

import numpy as np

from litetuner.search.clock import Clock, left
from litetuner.search.evaluation.candidate_jobs import convert_job, measure_layers_job, score_job
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import build, run_job
from litetuner.search.policy import POLICY
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.data.named_arrays import flat
from litetuner.spaces.errors import CandidateError, Lost
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Layers with weights, the most sensitive first; ``unknown`` says why some were not measured and are ranked by place."""

    layers: tuple[str, ...]
    unknown: str = ""


def rank_layers(services: Services, clock: Clock) -> Ranking:
    """The ranking of the layers, whose measurements are cached in ``sensitivity.json``.

    A layer's sensitivity is the mean absolute change of the outputs over a subset of the search split when its weights
    alone are quantized (to int4 where it can take that, else to int8), in units of the outputs' standard deviation.
    Outputs are compared rather than the metric: a few hundred samples hardly move an accuracy.
    """
    known, failure = services.folder.read("sensitivity"), ""
    layers = [layer for layer in services.inspection.model.layers if layer.has_kernel]
    if known is None:
        known = {"layers": {}}
        try:
            known["layers"] = _measure(services, clock, layers)
            services.folder.write("sensitivity", {"samples": POLICY.sensitivity.samples, "layers": known["layers"]})
        except CandidateError as error:  # the search goes on without, and a resumed one measures again
            services.folder.note("sensitivity failed", reason=str(error))
            failure = str(error)
    sensitivity = {name: entry["change"] for name, entry in known["layers"].items() if entry["change"] is not None}
    # A layer that was not measured (time, or it failed alone) is ranked by place: ends of a network are sensitive.
    places = {layer.name: min(index, len(layers) - 1 - index) for index, layer in enumerate(layers)}
    ordered = sorted(sensitivity, key=lambda name: -sensitivity[name])
    rest = sorted((name for name in places if name not in sensitivity), key=places.__getitem__)
    if not rest:
        return Ranking(tuple(ordered))
    reason = failure or known["layers"].get(rest[0], {}).get("reason", "it was not reached")
    count = f"{len(rest)} of {len(layers)} layers"
    return Ranking((*ordered, *rest), f"the sensitivity of {count} was not measured ({rest[0]}: {reason})")


def layer_statistics(services: Services) -> Statistics | None:
    """Those of the baseline's float file; ``None`` where no candidate may treat layers, or they cannot be measured.

    A run whose measurement failed goes on without; the reason is in its notes.
    """
    baseline, kind = Candidate((step_for(Role.FLOAT)(),)), step_for(Role.BY_LAYER)
    steps = services.constraints.steps
    if steps is not None and kind.name not in steps:
        return None
    if broken_rules(Candidate((*baseline.steps, kind())), services.constraints):
        return None
    try:
        converted, measured = run_job(services, convert_job(services, baseline, (), False), Measured())
        found, measured = run_job(services, measure_layers_job(services, converted.file), measured)
    except Stopped as stop:
        if isinstance(stop.cause, Lost):
            raise stop.cause from stop
        services.folder.note("layer statistics failed", reason=str(stop.cause))
        return None
    if services.clock is not None:
        services.clock.count(measured.seconds)
    return found


def _measure(services: Services, clock: Clock, layers: list[LayerInfo]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if not layers:
        return found
    seconds = services.config.seconds
    deadline = clock.wall + POLICY.sensitivity.share_of_time * seconds if seconds else float("inf")
    reference = _predict(services, Candidate((step_for(Role.FLOAT)(),)), clock)
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
            changed = _predict(services, Candidate((step_for(Role.FLOAT)(), step)), clock)
        except Lost:
            raise  # says nothing of the layer
        except CandidateError as error:
            found[layer.name] = {"precision": precision, "change": None, "reason": str(error)}
            continue
        found[layer.name] = {"precision": precision, "change": float(np.mean(np.abs(changed - reference))) / spread}
    return found


def _predict(services: Services, candidate: Candidate, clock: Clock) -> np.ndarray:
    """A file's outputs on the subset. Raises ``CandidateError`` where it cannot be built or run."""
    try:
        finished, measured = build(services, candidate, (), Measured())
        job = score_job(services, finished.name, candidate)
        job = dataclasses.replace(job, limit=POLICY.sensitivity.samples, keep_predictions=True)
        scored, measured = run_job(services, job, measured)
    except Stopped as stop:
        clock.count(stop.measured.seconds)
        raise stop.cause from stop
    clock.count(measured.seconds)
    assert scored.predictions is not None  # the job keeps them
    return flat(services.folder.workspace().array(scored.predictions))
