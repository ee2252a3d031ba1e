"""Trials as Optuna stores them, made of what was asked or of our records."""

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

CONSTRAINTS = "constraints"  # as a list it is all that optuna-dashboard knows; each alone is what samplers read
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


def asked_of(stored: StoredTrial) -> Asked | None:
    """What a stored trial is about; ``None`` for one that this library did not write. Raises anything where it is damaged."""
    for value, distribution in stored.params.values():
        _distribution(distribution).to_external_repr(value)
    proposal = json.loads(stored.told["user_attrs"].get("proposal", "null"))
    return proposal and Asked(
        stored.number, Candidate.from_json(proposal["candidate"]), proposal["origin"], proposal["params"]
    )


def told_trial(trial: Trial, objectives: Sequence[Objective], **more: Any) -> Any:
    """What a sampler is told of a trial that has ended."""
    values = told_values(trial, objectives)
    state, constraints = final_state(trial, values is not None), told_constraints(trial)
    return frozen_trial(trial, state=state, values=values, constraints=constraints, **more)


def told_rows(trial: Trial, objectives: Sequence[Objective]) -> StoredTrial:
    """The same as a database has it, with what other tools show."""
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
    """Does a trial in a database differ from its record? Of one that still runs only what was asked for is compared.

    Raises anything where the database has what is no JSON, or no distribution.
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
    """A trial of Optuna's, by choices (``Trial.params``)."""
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
    """The number that stands for a choice in a database."""
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
    """What Optuna is told of a trial that has ended."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE if complete else TrialState.FAIL if trial.state is State.LOST else TrialState.PRUNED


def outcome(trial: Trial) -> dict[str, Any]:
    summary = {name: measurement.value for name, measurement in trial.measurements.items()}
    return {"state": str(trial.state), "seed": trial.seed, "summary": summary}


def _proposal(candidate: Candidate, origin: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "params": params, "candidate": candidate.to_json()}
