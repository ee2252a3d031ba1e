"""The arithmetic that files should use: integers, or float32 if integers are not faster."""

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
    """The lowest value of each measurement over accurate untrained files with integer arithmetic and all channels."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}
        self.float_is_refused = False  # True if a file with float32 arithmetic was INVALID, and none was scored since

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
    """True if no accurate file with integer arithmetic is faster than the float model. Then only pruned channels help.

    This must hold on every target whose latency is an objective. Sizes, memory and MACs are not compared: they say
    nothing about latency. False if float32 arithmetic was rejected or nothing was measured.
    """
    baseline, integers = find_baseline(history.trials), history.view(Integers)
    latencies = [item.measurement for item in history.objectives if item.measurement.startswith("latency_us")]
    if baseline is None or integers.float_is_refused:
        return False
    pairs = [(baseline.value(name), integers.least.get(name)) for name in latencies]
    known = [(first, least) for first, least in pairs if first and least is not None]
    return bool(known) and all(least >= (1 - POLICY.picks.same_latency) * first for first, least in known)


def in_float_if(better: bool, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The additional choices with which a file with treated layers computes in float32; empty for other files.

    Also empty if float32 is not ``better``.
    """
    kind = step_for(Role.BY_LAYER)
    return kind.computing_in_float() if better and choices.get("deploy") == kind.name else {}


def computes_in_integers(candidate: Candidate) -> bool:
    """True if the candidate treats layers and its file computes with integers."""
    return INT8 in _arithmetics(candidate)


def _arithmetics(candidate: Candidate) -> list[str]:
    return [step.knobs().get("arithmetic", INT8) for step in candidate.steps if step.role is Role.BY_LAYER]
