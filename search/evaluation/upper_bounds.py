"""Upper bounds on how good a candidate can be after training, from what this run has measured."""

import dataclasses
from collections.abc import Mapping, Sequence

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Stage

UNTRAINED = "untrained."  # prefix of a measurement's name: measured on an untrained copy


@dataclasses.dataclass(frozen=True)
class Peer:
    """A trained trial: what its untrained copy measured, and for how many epochs (``passes``) it was trained."""

    trial: Trial
    metric: float
    compressed_bytes: float
    passes: float


class Probed:
    """A ``View`` of the probed trials: the errors of their probes, and what their untrained copies measured."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}  # number of known errors, by measurement
        self.largest: dict[str, float] = {}
        self.alike: dict[tuple[str, ...], list[Peer]] = {}  # trained trials, by the names of their trained steps

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
    """By what share a measurement of the trained file may be smaller than that of its untrained copy."""
    if name.startswith("latency_us"):
        return POLICY.upper_bounds.latency_margin
    probed = told.view(Probed)
    if probed.errors.get(name, 0) < POLICY.upper_bounds.enough_errors:
        return POLICY.upper_bounds.usual_margins.get(name, 0.0)
    return max(POLICY.upper_bounds.least_margin, POLICY.upper_bounds.caution * probed.largest[name])


def upper_bounds(untrained: Mapping[str, Measurement], told: History) -> dict[str, float]:
    """The best values that the trained file can reach, by measurement, from those of its untrained copy."""
    return {name: found.value * (1 - margin(name, told)) for name, found in untrained.items()}


def dominating(values: Mapping[str, float], told: History) -> Trial | None:
    """A member of the Pareto front without an accuracy drop whose costs are not above ``values``, if there is one.

    ``values`` are by measurement. The baseline does not count.
    """
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
    """Similar trials that were easier to train, and whose accuracy drop after training was still too large.

    They have the same kinds of trained steps. Before training they were not worse in the metric and not smaller when
    compressed, and they were trained for at least as many epochs. Empty if there are too few of them, or if one met the
    metric budgets at the better end of its interval.
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
    """True if the rung gate stopped it, or if it breaks a metric budget even at the better end of its interval."""
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
