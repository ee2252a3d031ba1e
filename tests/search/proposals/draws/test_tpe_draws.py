"""Several draws from the same trials are what Optuna draws one after the other."""

from __future__ import annotations

import random
import warnings
from typing import Any

import optuna
import pytest

from litetuner.search.front import Objective
from litetuner.search.policy import POLICY
from litetuner.search.proposals.draws.tpe_draws import joint_draws
from litetuner.search.runs.optuna_study import ChoiceRecorder
from litetuner.search.runs.optuna_trials import frozen_params

OBJECTIVES = (Objective("metric", "maximize"), Objective("compressed_bytes", "minimize"), Objective("us", "minimize"))
COMPLETE = optuna.trial.TrialState.COMPLETE


class Drawn:
    """A ``Chooser`` at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one_of(self, name: str, options: Any) -> Any:
        return self._random.choice(options)

    level = one_of


def made(seed: int) -> Any:
    """A finished trial of six parameters; every third breaks a budget."""
    draw, recorder = random.Random(seed), ChoiceRecorder(Drawn(seed))
    for name in ("price", "weight.first", "weight.last", "weight.others"):
        recorder.level(name, range(9))
    for name in ("io", "calibration"):
        recorder.one_of(name, ("a", "b", "c"))
    values = [draw.random() for _ in OBJECTIVES]
    constraints = {"max-drop": draw.random() if seed % 3 == 0 else -draw.random()}
    return recorder.params, frozen_params(recorder.params, state=COMPLETE, values=values, constraints=constraints)


@pytest.mark.parametrize(("count", "seed"), [(12, 0), (60, 1), (200, 2)])
def test_draws_are_those_of_one_call_after_the_other(count: int, seed: int) -> None:
    params, trials = made(0)[0], [made(number)[1] for number in range(count)]
    study = optuna.create_study(directions=[objective.direction for objective in OBJECTIVES])
    study.add_trials(trials)
    study.ask()
    pending = study.get_trials(deepcopy=False)[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        startup = POLICY.samplers.tpe_startup_trials
        plain = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
    space = trials[0].distributions
    expected = [plain.sample_relative(study, pending, space) for _ in range(POLICY.samplers.draws)]
    found = list(joint_draws(trials, params, OBJECTIVES, seed))
    assert found == expected
    assert len({str(drawn) for drawn in found}) > 1


def test_the_estimates_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Optuna's private methods have other names this fails, and draws cost as much as they did one by one."""
    sampler = optuna.samplers.TPESampler
    built: list[bool] = []
    own = sampler._build_parzen_estimator

    def counted(*given: Any, **named: Any) -> Any:
        built.append(True)
        return own(*given, **named)

    monkeypatch.setattr(sampler, "_build_parzen_estimator", counted)
    trials = [made(number)[1] for number in range(20)]
    assert len(list(joint_draws(trials, made(0)[0], OBJECTIVES, 0))) == POLICY.samplers.draws
    assert len(built) == 2, "those below and those above"
