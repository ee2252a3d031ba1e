"""Trials as Optuna stores them, made of what was asked or of our records."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.search.front import Objective
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import RunError

UNKNOWN_VIOLATION = 1.0  # told where a trial was stopped before any budget could be compared


@dataclasses.dataclass(frozen=True)
class Asked:
    """A trial that runs: its number in the study, the candidate, and the choices that led to it."""

    number: int
    candidate: Candidate
    origin: str
    params: dict[str, dict[str, Any]]


def running_trial(asked: Asked, **more: Any) -> Any:
    """A trial that was asked for and not told yet."""
    from optuna.trial import TrialState

    proposal = json.dumps(_proposal(asked.candidate, asked.origin, asked.params))
    return frozen_params(asked.params, state=TrialState.RUNNING, user_attrs={"proposal": proposal}, **more)


def asked_of(stored: Any) -> Asked | None:
    """What a stored trial is about; ``None`` for one that this library did not write."""
    proposal = json.loads(stored.user_attrs.get("proposal", "null"))
    return proposal and Asked(
        stored.number, Candidate.from_json(proposal["candidate"]), proposal["origin"], proposal["params"]
    )


def told_trial(trial: Trial, objectives: Sequence[Objective], **more: Any) -> Any:
    """A trial that has ended, by its record."""
    facts = {"proposal": _proposal(trial.candidate, trial.origin, trial.params), "outcome": outcome(trial)}
    return frozen_trial(
        trial,
        state=final_state(trial, told_values(trial, objectives) is not None),
        values=told_values(trial, objectives),
        constraints=told_constraints(trial),
        user_attrs={name: json.dumps(value) for name, value in facts.items()},
        **more,
    )


def told_values(trial: Trial, objectives: Sequence[Objective]) -> list[float] | None:
    """The objectives' values; ``None`` for what was not scored, and for a baseline that the first target cannot run."""
    if not trial.state.scored or (
        trial.misfits and any(item.measurement not in trial.measurements for item in objectives)
    ):
        return None
    for objective in objectives:
        if objective.measurement not in trial.measurements:
            raise ValueError(f"trial {trial.number} was scored without {objective.measurement}")
    return [trial.measurements[objective.measurement].value for objective in objectives]


def frozen_trial(trial: Trial, **told: Any) -> Any:
    """A trial of Optuna's with the choices of a record. Raises ``RunError`` for choices that Optuna cannot read."""
    try:
        return frozen_params(trial.params, **told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise RunError(f"the choices in the record of trial {trial.number} cannot be read ({why})") from error


def frozen_params(params: Mapping[str, Mapping[str, Any]], **told: Any) -> Any:
    """A trial of Optuna's, by choices (``Trial.params``)."""
    import optuna

    values = {name: entry["value"] for name, entry in params.items()}
    distributions = {name: _distribution(entry["distribution"]) for name, entry in params.items()}
    return optuna.trial.create_trial(params=values, distributions=distributions, **told)


@functools.cache
def _distribution(text: str) -> Any:
    from optuna.distributions import json_to_distribution

    return json_to_distribution(text)


def told_constraints(trial: Trial) -> dict[str, float]:
    if trial.state is State.LOST:
        return {}
    if trial.state.scored or any(value > 0 for value in trial.constraints.values()):
        return trial.constraints
    return trial.constraints | {"refused": UNKNOWN_VIOLATION}


def final_state(trial: Trial, complete: bool) -> Any:
    """What Optuna is told of a trial that has ended."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE if complete else TrialState.FAIL if trial.state is State.LOST else TrialState.PRUNED


def outcome(trial: Trial) -> dict[str, Any]:
    summary = {name: measurement.value for name, measurement in trial.measurements.items()}
    return {"state": str(trial.state), "seed": trial.seed, "summary": summary}


def _proposal(candidate: Candidate, origin: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "params": params, "candidate": candidate.to_json()}
