"""What files should compute with: integers, or float32 where integers are no faster."""

from collections.abc import Mapping
from typing import Any

from litetuner.search.config.budgets import ACCURACY_BUDGETS
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates.estimates import UNTRAINED, base_of
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.quantized import FLOAT32, INT8
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for


class Integers:
    """The least that accurate files measured which compute with integers and have all channels, by measurement."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}
        self.float_is_refused = False  # by a target, say; and no such file with float arithmetic was scored

    def add(self, trial: Trial, gain: float) -> None:
        if FLOAT32 in _arithmetics(trial.candidate):
            self.float_is_refused = not trial.state.scored and (self.float_is_refused or trial.state is State.INVALID)
        accurate = all(trial.constraints.get(name, 0.0) <= 0 for name in ACCURACY_BUDGETS)
        integer = computes_in_integers(trial.candidate) or any(
            step.role is Role.INTEGER for step in trial.candidate.steps
        )
        if not (trial.state.scored and accurate and integer and base_of(trial.candidate) == UNTRAINED):
            return
        for name, measured in trial.measurements.items():
            self.least[name] = min(measured.value, self.least.get(name, measured.value))


def float_is_better(history: History) -> bool:
    """Is no accurate file that computes with integers faster than the float model? Then only fewer channels make one.

    On every target whose latency is an objective; sizes, memory and MACs say nothing of time.
    """
    baseline, integers = find_baseline(history.trials), history.view(Integers)
    latencies = [item.measurement for item in history.objectives if item.measurement.startswith("latency_us")]
    if baseline is None or integers.float_is_refused:
        return False
    pairs = [(baseline.value(name), integers.least.get(name)) for name in latencies]
    known = [(first, least) for first, least in pairs if first and least is not None]
    return bool(known) and all(least >= (1 - POLICY.picks.same_latency) * first for first, least in known)


def in_float_if(better: bool, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What to choose besides, so that a file which treats layers computes in float32; empty for other files."""
    kind = step_for(Role.BY_LAYER)
    return kind.computing_in_float() if better and choices.get("deploy") == kind.name else {}


def computes_in_integers(candidate: Candidate) -> bool:
    """Does it treat layers for a file that computes with integers?"""
    return INT8 in _arithmetics(candidate)


def _arithmetics(candidate: Candidate) -> list[str]:
    return [step.knobs().get("arithmetic", INT8) for step in candidate.steps if step.role is Role.BY_LAYER]
