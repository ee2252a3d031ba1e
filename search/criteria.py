"""The criteria of a run: objectives, budgets, targets and profile; and the state of a trial under these criteria."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from litetuner.objectives.profiles.profile import Profile
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.evaluation.upper_bounds import dominating
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.trial import State, Trial
from litetuner.spaces.jobs.metric_info import MetricInfo

if TYPE_CHECKING:  # reports import this module, and do not need pydantic
    from litetuner.search.config.config import Config

PROFILE = "profile"  # the name of the profile in gates and constraints


@dataclasses.dataclass(frozen=True)
class Criteria:
    """The current criteria for all trials. A resumed run may have other criteria than when a trial was evaluated."""

    budgets: tuple[Budget, ...] = ()
    needed: tuple[str, ...] = ()  # measurements that objectives or budgets use
    targets: tuple[str, ...] = ()  # names of the targets
    profile: type[Profile] | None = None


def objectives(config: Config, metric: MetricInfo) -> tuple[Objective, ...]:
    """The metric, the size, the latency of the first target (or what it reports instead), and ``--objective``."""
    costs = (config.size_measurement, config.target_objective, *config.objective)
    found = (Objective("metric", metric.direction), *(Objective(name, "minimize") for name in costs))
    return tuple(dict.fromkeys(found))


def find_criteria(config: Config, metric: MetricInfo) -> Criteria:
    budgets = config.budgets_for(metric.direction)
    named = [item.measurement for item in objectives(config, metric)] + [item.measurement for item in budgets]
    return Criteria(budgets, tuple(dict.fromkeys(named)), config.targets, config.suited)


def judged(trial: Trial, criteria: Criteria) -> Trial:
    """The trial with its state and constraints under the current criteria.

    The trial becomes ``LOST``, and is asked again, if the criteria would no longer stop or reject it, or if they need a
    measurement that it does not have.
    """
    if trial.state is State.PRUNED and trial.gate in ("probe", "rung", "latency", "untrained"):
        measured = {name.removeprefix("probe."): value for name, value in trial.measurements.items()}
        broken = violations(criteria.budgets, measured)
        if any(value > 0 for value in broken.values()):
            return dataclasses.replace(trial, constraints=broken)
        return _reopened(trial, f"the present budgets would not stop it at the gate {trial.gate}")
    if trial.state is State.INVALID and trial.gate is not None and not _still_rejected(trial.gate, criteria):
        return _reopened(trial, f"what rejected it ({trial.gate}) is no longer part of the search")
    if not trial.state.scored:
        return trial
    unfit = {f"target {name}": 1.0 for name in trial.misfits if name in criteria.targets}
    excused = tuple(f":{name}" for name in trial.misfits)
    missing = [name for name in criteria.needed if name not in trial.measurements and not name.endswith(excused)]
    if missing:
        return _reopened(trial, f"{', '.join(missing)} was not measured")
    broken = violations(criteria.budgets, trial.measurements) | unfit
    misfits = criteria.profile.misfits(trial.operators, trial.io_types) if criteria.profile else []
    if misfits:
        broken[PROFILE] = float(len(misfits))
    reasons = [*(f"{name}: {why}" for name, why in trial.misfits.items()), *misfits]
    state = State.INFEASIBLE if any(value > 0 for value in broken.values()) else State.COMPLETE
    reason = "; ".join(reasons) or None
    if (trial.constraints, trial.state, trial.reason) == (broken, state, reason):  # the usual case
        return trial
    return dataclasses.replace(trial, constraints=broken, state=state, reason=reason)


def reopened_if_undominated(trial: Trial, history: History) -> Trial:
    """The trial; ``LOST`` if it was stopped as dominated, and no trial dominates it under the current criteria."""
    if trial.gate != "dominated" or trial.state is not State.PRUNED:
        return trial
    upper_bounds = {name.removeprefix("probe."): found.value for name, found in trial.measurements.items()}
    if dominating(upper_bounds, history):
        return trial
    return _reopened(trial, "nothing dominates it under the present criteria")


def _reopened(trial: Trial, reason: str) -> Trial:
    return dataclasses.replace(trial, state=State.LOST, constraints={}, reason=reason)


def _still_rejected(gate: str, criteria: Criteria) -> bool:
    """True if the profile or the target that rejected a candidate is still part of the search."""
    kind, _, name = gate.partition(" ")
    if kind == PROFILE:
        return criteria.profile is not None and criteria.profile.name == name
    return name in criteria.targets
