"""Upper bounds of a candidate that is not trained yet, by what this run has measured."""

import dataclasses
from collections.abc import Mapping, Sequence

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Stage

UNTRAINED = "untrained."  # before a measurement's name: what an untrained copy gave


@dataclasses.dataclass(frozen=True)
class Peer:
    """How a trained trial was before training, and for how many passes it was trained."""

    trial: Trial
    metric: float
    compressed_bytes: float
    passes: float


class Probed:
    """What is remembered of trials that were probed: the errors of their probes, and how each was untrained."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}  # how many are known, by measurement
        self.largest: dict[str, float] = {}
        self.alike: dict[tuple[str, ...], list[Peer]] = {}  # those that were trained, by the names of their steps

    def add(self, trial: Trial, gain: float) -> None:
        for key, found in trial.measurements.items():
            name = key.removeprefix(UNTRAINED)
            final = trial.value(name)
            if name != key and trial.state.scored and found.value and final is not None:
                self.errors[name] = self.errors.get(name, 0) + 1
                self.largest[name] = max(self.largest.get(name, 0.0), 1 - final / found.value)
        was_trained = trial.state.scored or trial.gate == "rung"
        metric, compressed = trial.value(UNTRAINED + "metric"), trial.value(UNTRAINED + "compressed_bytes")
        if was_trained and metric is not None and compressed is not None and trial.duplicate_of is None:
            peer = Peer(trial, metric, compressed, _passes(trial.candidate))
            self.alike.setdefault(_kinds(trial.candidate), []).append(peer)


def margin(name: str, told: History) -> float:
    """How much smaller than its untrained copy a trained file may turn out, as a share."""
    if name.startswith("latency_us"):
        return POLICY.upper_bounds.latency_margin
    probed = told.view(Probed)
    if probed.errors.get(name, 0) < POLICY.upper_bounds.enough_errors:
        return POLICY.upper_bounds.usual_margins.get(name, 0.0)
    return max(POLICY.upper_bounds.least_margin, POLICY.upper_bounds.caution * probed.largest[name])


def upper_bounds(untrained: Mapping[str, Measurement], told: History) -> dict[str, float]:
    """The best values that the trained file may reach, by name, from those of its untrained copy."""
    return {name: found.value * (1 - margin(name, told)) for name, found in untrained.items()}


def dominating(values: Mapping[str, float], told: History) -> Trial | None:
    """A member of the front that lost nothing, and that a file of ``values`` (by measurement) betters in nothing."""
    costs = [objective.measurement for objective in told.objectives if objective.measurement != "metric"]
    if not costs or any(name not in values for name in costs):
        return None
    for member in told.front:
        drop, found = member.value("drop"), [member.value(name) for name in costs]
        better = all(value is not None and value <= values[name] for name, value in zip(costs, found, strict=True))
        if better and drop is not None and drop <= 0 and not member.is_baseline:
            return member
    return None


def failed_peers(
    candidate: Candidate, untrained: Mapping[str, Measurement], budgets: Sequence[Budget], told: History
) -> list[Trial]:
    """Candidates of the same kind with higher accuracy before training, compressed less, whose drop after training was too large.

    Empty where there are too few of them, or where one kept the budgets of the metric at the better end of its interval.
    """
    sign = -1 if told.objectives[0].direction == "maximize" else 1
    metric, compressed = sign * untrained["metric"].value, untrained["compressed_bytes"].value
    peers = [
        peer.trial
        for peer in told.view(Probed).alike.get(_kinds(candidate), [])
        if peer.compressed_bytes >= compressed and sign * peer.metric <= metric and peer.passes >= _passes(candidate)
    ]
    enough = len(peers) >= POLICY.upper_bounds.failed_peers
    return peers if enough and all(_failed(trial, budgets) for trial in peers) else []


def _failed(trial: Trial, budgets: Sequence[Budget]) -> bool:
    """Is a budget of the metric broken even at the better end of its interval?"""
    if trial.gate == "rung":
        return True
    for budget in budgets:
        found = trial.measurements[budget.measurement]
        low, high = found.interval or (found.value, found.value)
        if budget.violation(high if budget.sense == "at least" else low) > 0:
            return True
    return False


def _kinds(candidate: Candidate) -> tuple[str, ...]:
    return tuple(step.name for step in candidate.prefix.steps)


def _passes(candidate: Candidate) -> float:
    return sum(float(step.knobs().get("epochs", 0.0)) for step in candidate.of_stage(Stage.TRAIN))
