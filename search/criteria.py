"""The terms of a run: what is optimised, what is bounded, what files must suit; and how a trial stands under them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from litetuner.objectives.profiles.profile import Profile
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.evaluation.upper_bounds import dominating
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.trial import State, Trial
from litetuner.spaces.metric_info import MetricInfo

if TYPE_CHECKING:  # reports read terms, and need no pydantic
    from litetuner.search.config.config import Config

PROFILE = "profile"  # its name among gates and constraints


@dataclasses.dataclass(frozen=True)
class Criteria:
    """What trials are judged by, today: a resumed run may have other terms than those that a trial was told under."""

    budgets: tuple[Budget, ...] = ()
    needed: tuple[str, ...] = ()  # measurements that objectives or budgets stand on
    targets: tuple[str, ...] = ()  # by name
    profile: type[Profile] | None = None


def objectives(config: Config, metric: MetricInfo) -> tuple[Objective, ...]:
    """What is optimised: the metric, size, latency of the first target, and what the user added."""
    found = [
        Objective("metric", metric.direction),
        Objective(config.size_measurement, "minimize"),
        Objective(config.latency_measurement, "minimize"),
    ]
    found += [Objective(name, "minimize") for name in config.objective]
    return tuple(dict.fromkeys(found))


def terms(config: Config, metric: MetricInfo) -> Criteria:
    """The terms that a configuration sets."""
    budgets = config.budgets_for(metric.direction)
    named = [item.measurement for item in objectives(config, metric)] + [item.measurement for item in budgets]
    return Criteria(budgets, tuple(dict.fromkeys(named)), config.targets, config.suited)


def judged(trial: Trial, today: Criteria) -> Trial:
    """A trial with the state and constraints that today's terms give it. What they no longer stop is ``LOST``: asked again."""
    if trial.state is State.PRUNED and trial.gate in ("probe", "rung", "latency", "untrained"):
        measured = {name.removeprefix("probe."): value for name, value in trial.measurements.items()}
        broken = violations(today.budgets, measured)
        if any(value > 0 for value in broken.values()):
            return dataclasses.replace(trial, constraints=broken)
        return _again(trial, f"the budgets of today would not stop it at the gate {trial.gate}")
    if trial.state is State.INVALID and trial.gate is not None and not _refused(trial.gate, today):
        return _again(trial, f"what refused it ({trial.gate}) is no part of the search any more")
    if not trial.state.scored:
        return trial
    missing = [name for name in today.needed if name not in trial.measurements]
    if missing:
        return _again(trial, f"{', '.join(missing)} was not measured then")
    broken = violations(today.budgets, trial.measurements)
    misfits = today.profile.misfits(trial.operators, trial.ports) if today.profile else []
    if misfits:
        broken[PROFILE] = float(len(misfits))
    state = State.INFEASIBLE if any(value > 0 for value in broken.values()) else State.COMPLETE
    return dataclasses.replace(trial, constraints=broken, state=state, reason="; ".join(misfits) or None)


def again_if_undominated(trial: Trial, told: History) -> Trial:
    """A trial; ``LOST`` if it was stopped because it was dominated, and nothing dominates it under today's terms."""
    if trial.gate != "dominated" or trial.state is not State.PRUNED:
        return trial
    hopes = {name.removeprefix("probe."): found.value for name, found in trial.measurements.items()}
    return trial if dominating(hopes, told) else _again(trial, "nothing dominates it under the terms of today")


def _again(trial: Trial, reason: str) -> Trial:
    return dataclasses.replace(trial, state=State.LOST, constraints={}, reason=reason)


def _refused(gate: str, today: Criteria) -> bool:
    """Is what once refused a candidate, a profile or a target by its name, still part of the search?"""
    kind, _, name = gate.partition(" ")
    if kind == PROFILE:
        return today.profile is not None and today.profile.name == name
    return name in today.targets
