"""Layer sensitivity: how much the outputs change if one layer alone is rounded to 4 bits or compressed otherwise."""

import dataclasses

from litetuner.search.evaluation.candidate_jobs import convert_job, measure_layers_job
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import run_job
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

BASELINE = Candidate((step_for(Role.FLOAT)(),))
NO_OPERATOR = "no operator of the file is known to be this layer, and of a kind that can be rounded alone"


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The layers with weights, the most sensitive first.

    ``unknown`` says why some layers were not measured; these are ranked by their position in the network.
    ``statistics`` are the layer statistics of the baseline's float file; ``None`` if there are none, or if no
    candidate may treat layers one by one.
    """

    layers: tuple[str, ...] = ()
    unknown: str = ""
    statistics: Statistics | None = None


def rank_layers(services: Services) -> Ranking:
    """Measure and rank the layers; ``sensitivity.json`` keeps the measurements for the report.

    The outputs are compared and not the metric, because accuracy hardly changes on a few samples.
    """
    found, failure = _measure(services)
    changes = {layer.keras_layer: layer.change for layer in found.layers} if found else {}
    layers = [layer for layer in services.inspection.model.layers if layer.has_kernel]
    if not failure:
        kept = {layer.name: _entry(changes.get(layer.name)) for layer in layers}
        services.folder.write("sensitivity", {"layers": kept})
    return Ranking(*ranked(layers, changes, failure), found if _may_treat(services) else None)


def ranked(layers: list[LayerInfo], changes: dict[str, float], failure: str) -> tuple[tuple[str, ...], str]:
    """The names of the layers, the largest change first, and why some changes are not known.

    Layers without a known change follow, the nearest to either end of the network first, because the ends are
    sensitive.
    """
    places = {layer.name: min(index, len(layers) - 1 - index) for index, layer in enumerate(layers)}
    known = sorted((name for name in places if name in changes), key=lambda name: -changes[name])
    rest = sorted((name for name in places if name not in changes), key=places.__getitem__)
    if not rest:
        return tuple(known), ""
    reason = f"{rest[0]}: {failure or NO_OPERATOR}"
    return (*known, *rest), f"the sensitivity of {len(rest)} of {len(layers)} layers was not measured ({reason})"


def _entry(change: float | None) -> dict[str, object]:
    if change is None:
        return {"precision": None, "change": None, "reason": NO_OPERATOR}
    return {"precision": "int4", "change": change}


def _measure(services: Services) -> tuple[Statistics | None, str]:
    """The layer statistics of the baseline's float file, or ``None`` and why they could not be measured.

    Without them the search continues, and a resumed search measures again.
    """
    try:
        converted, measured = run_job(services, convert_job(services, BASELINE, (), False), Measured())
        found, measured = run_job(services, measure_layers_job(services, converted.file), measured)
    except Stopped as stop:
        services.folder.note("sensitivity failed", reason=str(stop.cause))
        return None, str(stop.cause)
    if services.clock is not None:
        services.clock.count(measured.seconds)
    return found, ""


def _may_treat(services: Services) -> bool:
    """True if a candidate may treat layers one by one."""
    kind, steps = step_for(Role.BY_LAYER), services.constraints.steps
    if steps is not None and kind.name not in steps:
        return False
    return not broken_rules(Candidate((*BASELINE.steps, kind())), services.constraints)
