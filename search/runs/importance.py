"""The importance of choices: Optuna's parameter importance from a run's records, for the front and each objective."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from litetuner.search.front import Objective
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_trials import frozen_trial
from litetuner.search.runs.records import Importance, KeptImportances
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import digest
from litetuner.spaces.errors import RunError

FEWEST = 20  # scored trials; with fewer, importances are mostly chance
TOP_TRIALS = 5  # PED-ANOVA needs so many trials in its best quantile
TOP_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Importances:
    """One for the Pareto front and one for each objective; none with too few trials, or if there is a ``problem``."""

    found: tuple[Importance, ...] = ()
    problem: str = ""


def find_importances(trials: Sequence[Trial], objectives: Sequence[Objective]) -> tuple[Importance, ...]:
    """The importance of each choice for the Pareto front, then for each objective alone; empty with too few trials.

    It is also empty if no choice has two values. The method is Optuna's conditional PED-ANOVA
    (https://arxiv.org/abs/2304.10255, https://arxiv.org/abs/2601.20800), the only evaluator that supports several
    objectives and conditional choices. Budgets are ignored. The study is in memory.
    Raises ``RunError`` for a trial whose choices Optuna cannot read.
    """
    told = [trial for trial in trials if _usable(trial, objectives)]
    if len(told) < FEWEST:
        return ()
    frozen = [_frozen(trial, objectives) for trial in told]
    taken = {(name, repr(entry["value"])) for trial in told for name, entry in trial.params.items()}
    if len(taken) == len({name for name, _ in taken}):  # no choice has two values
        return ()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=[objective.direction for objective in objectives])
    study.add_trials(frozen)
    share = min(0.5, max(TOP_SHARE, TOP_TRIALS / len(told)))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
    goals: list[tuple[str, Callable[[Any], float] | None]] = [("front", None)]
    goals += [(objective.measurement, _target(at, objective)) for at, objective in enumerate(objectives)]
    found = []
    for goal, target in goals:
        with warnings.catch_warnings():  # it warns that targets are minimized, as intended, and about rare choices
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator, target=target)
        ordered = dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
        found.append(Importance(goal, ordered, len(told), math.ceil(share * len(told))))
    return tuple(found)


def kept_importances(folder: RunFolder, trials: Sequence[Trial], objectives: Sequence[Objective]) -> Importances:
    """Like ``find_importances``, with a cache in the run.

    Importing Optuna's evaluators alone takes a second, mostly for scikit-learn. If the choices of a trial cannot be
    read, the error becomes the ``problem``, so that reports can still show everything else.
    """
    told = [trial for trial in trials if _usable(trial, objectives)]
    if len(told) < FEWEST:
        return Importances()
    values = [[trial.number, *(trial.value(objective.measurement) for objective in objectives)] for trial in told]
    key = digest([[objective.measurement, objective.direction] for objective in objectives] + values)
    try:
        kept = folder.read("cache/importance")
    except RunError:  # a damaged cache is computed again
        kept = None
    if kept is not None and kept["key"] == key:
        return Importances(KeptImportances.from_json(kept).importances)
    try:
        found = find_importances(trials, objectives)
    except RunError as error:
        return Importances(problem=str(error))
    record = {"key": key, "importances": [dataclasses.asdict(item) for item in found]}
    folder.write("cache/importance", record, durable=False)
    return Importances(found)


def _usable(trial: Trial, objectives: Sequence[Objective]) -> bool:
    values = [trial.value(objective.measurement) for objective in objectives]
    measured = all(value is not None and math.isfinite(value) for value in values)
    return trial.duplicate_of is None and trial.state.scored and bool(trial.params) and measured


def _target(at: int, objective: Objective) -> Callable[[Any], float]:
    sign = -1.0 if objective.direction == "maximize" else 1.0
    return lambda trial: sign * float(trial.values[at])


def _frozen(trial: Trial, objectives: Sequence[Objective]) -> Any:
    values = [trial.measurements[objective.measurement].value for objective in objectives]
    return frozen_trial(trial, values=values)
