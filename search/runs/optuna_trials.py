"""Converts asked trials and the records of trials into trials as Optuna stores them."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litetuner.search.front import Objective
from litetuner.search.runs.databases.study_rows import StoredTrial, as_json
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import RunError

# A system attribute with all constraints as one list, for optuna-dashboard. Samplers read an attribute per constraint.
CONSTRAINTS = "constraints"
UNKNOWN_VIOLATION = 1.0  # told if a trial was stopped before any budget was compared


@dataclasses.dataclass(frozen=True)
class Asked:
    """A running trial: its number in the study, its candidate, and the choices that led to the candidate."""

    number: int
    candidate: Candidate
    origin: str
    params: dict[str, dict[str, Any]]


def running_trial(asked: Asked, **more: Any) -> Any:
    """An Optuna trial that was asked, but not told yet."""
    from optuna.trial import TrialState

    proposal = json.dumps(_proposal(asked.candidate, asked.origin, asked.params))
    return frozen_params(asked.params, state=TrialState.RUNNING, user_attrs={"proposal": proposal}, **more)


def asked_of(stored: StoredTrial) -> Asked | None:
    """The proposal of a stored trial, ``None`` if litetuner did not write the trial.

    May raise any exception if the trial is damaged.
    """
    for value, distribution in stored.params.values():
        _distribution(distribution).to_external_repr(value)
    proposal = json.loads(stored.told["user_attrs"].get("proposal", "null"))
    return proposal and Asked(
        stored.number, Candidate.from_json(proposal["candidate"]), proposal["origin"], proposal["params"]
    )


def told_trial(trial: Trial, objectives: Sequence[Objective], **more: Any) -> Any:
    """A trial that has ended, as the Optuna trial that samplers see."""
    values = told_values(trial, objectives)
    state, constraints = final_state(trial, values is not None), told_constraints(trial)
    return frozen_trial(trial, state=state, values=values, constraints=constraints, **more)


def told_rows(trial: Trial, objectives: Sequence[Objective]) -> StoredTrial:
    """A trial that has ended, as rows of a database, with attributes that other tools show."""
    values, constraints = told_values(trial, objectives), told_constraints(trial)
    with _choices_of(trial):
        params = {
            name: (_internal(entry["value"], entry["distribution"]), entry["distribution"])
            for name, entry in trial.params.items()
        }
    facts = {"proposal": _proposal(trial.candidate, trial.origin, trial.params), "outcome": outcome(trial)}
    each = {f"{CONSTRAINTS}:{name}": float(value) for name, value in constraints.items()}
    state, user = final_state(trial, values is not None), as_json(as_json(facts))
    system = as_json({CONSTRAINTS: list(constraints.values())} | each)
    return StoredTrial(trial.number, state, params, dict(enumerate(values or ())), user, system)


def difference(ours: StoredTrial, theirs: StoredTrial) -> bool:
    """True if a trial in a database differs from its record. If it runs, only proposal and choices are compared.

    May raise any exception if the database has invalid JSON or an invalid distribution.
    """
    for text in {*theirs.user.values(), *theirs.system.values()} - {*ours.user.values(), *ours.system.values()}:
        json.loads(text)
    if ours.params.keys() != theirs.params.keys() or any(
        value != ours.params[name][0] or not _same_distribution(text, ours.params[name][1])
        for name, (value, text) in theirs.params.items()
    ):
        return True
    proposals = [json.loads(json.loads(side.user["proposal"])) for side in (ours, theirs) if "proposal" in side.user]
    if proposals[0] != proposals[-1]:
        return True
    constraints = {name for name in ours.system if name != CONSTRAINTS}
    return theirs.finished and (
        (ours.state, ours.values) != (theirs.state, theirs.values)
        or any(json.loads(theirs.system.get(name, "null")) != json.loads(ours.system[name]) for name in constraints)
    )


def told_values(trial: Trial, objectives: Sequence[Objective]) -> list[float] | None:
    """The objectives' values; ``None`` if not scored, and for a baseline that the first target cannot run."""
    if not trial.state.scored or (
        trial.misfits and any(item.measurement not in trial.measurements for item in objectives)
    ):
        return None
    for objective in objectives:
        if objective.measurement not in trial.measurements:
            raise ValueError(f"trial {trial.number} was scored without {objective.measurement}")
    return [trial.measurements[objective.measurement].value for objective in objectives]


def frozen_trial(trial: Trial, **told: Any) -> Any:
    """An Optuna trial with the choices of a record. Raises ``RunError`` if Optuna cannot read the choices."""
    with _choices_of(trial):
        return frozen_params(trial.params, **told)


@contextlib.contextmanager
def _choices_of(trial: Trial) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise RunError(f"the choices in the record of trial {trial.number} cannot be read ({why})") from error


def frozen_params(params: Mapping[str, Mapping[str, Any]], **told: Any) -> Any:
    """An Optuna trial with these choices (``Trial.params``)."""
    import optuna

    values = {name: entry["value"] for name, entry in params.items()}
    distributions = {name: _distribution(entry["distribution"]) for name, entry in params.items()}
    return optuna.trial.create_trial(params=values, distributions=distributions, **told)


@functools.cache
def _distribution(text: str) -> Any:
    from optuna.distributions import json_to_distribution

    return json_to_distribution(text)


@functools.lru_cache(maxsize=10_000)
def _internal(value: Any, distribution: str) -> float:
    """The number that Optuna's databases store for a choice."""
    return float(_distribution(distribution).to_internal_repr(value))


def _same_distribution(one: str, other: str) -> bool:
    return one == other or bool(_distribution(one) == _distribution(other))


def told_constraints(trial: Trial) -> dict[str, float]:
    if trial.state is State.LOST:
        return {}
    if trial.state.scored or any(value > 0 for value in trial.constraints.values()):
        return trial.constraints
    return trial.constraints | {"refused": UNKNOWN_VIOLATION}


def final_state(trial: Trial, complete: bool) -> Any:
    """The Optuna state of a trial that has ended."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE if complete else TrialState.FAIL if trial.state is State.LOST else TrialState.PRUNED


def outcome(trial: Trial) -> dict[str, Any]:
    summary = {name: measurement.value for name, measurement in trial.measurements.items()}
    return {"state": str(trial.state), "seed": trial.seed, "summary": summary}


def _proposal(candidate: Candidate, origin: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "params": params, "candidate": candidate.to_json()}
