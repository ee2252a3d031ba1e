"""Draws of treatments for groups of layers: a few by Optuna, the others at random."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.bases import UNTRAINED_CHOICES
from litetuner.search.proposals.draws.tpe_draws import joint_draws
from litetuner.search.proposals.estimates.estimates import base_of
from litetuner.search.proposals.proposal import choices_of
from litetuner.search.proposals.seeds import derive
from litetuner.search.runs.optuna_study import ChoiceRecorder
from litetuner.search.runs.optuna_trials import final_state, frozen_params, told_constraints
from litetuner.search.trial import Trial
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.steps import step_for

NUMBERS = POLICY.samplers


class Sampled:
    """The trials that Optuna learns from: trials of all strategies that treat layers, with parameters by group.

    A trial with treatments by single layers gets the parameters by group that come closest to these treatments. Trials
    with channels pruned in the converted file are left out.
    """

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._names: frozenset[str] = frozenset()  # names of the parameters in ``_told``
        self._told: list[tuple[Trial, dict[str, Any]]] = []
        self._seen = 0  # how many of ``trials`` were checked for ``_told``
        self._frozen: dict[int, Any] = {}  # by trial number: Optuna's ``FrozenTrial``

    def add(self, trial: Trial, gain: float) -> None:
        if trial.state.scored and trial.duplicate_of is None and base_of(trial.candidate) == trial.candidate.prefix:
            self.trials.append(trial)

    def told(self, space: Space, names: Collection[str]) -> list[tuple[Trial, dict[str, Any]]]:
        """The trials that have all parameters with these names, each with these parameters."""
        if self._names != frozenset(names):
            self._names, self._told, self._seen, self._frozen = frozenset(names), [], 0, {}
        for trial in self.trials[self._seen :]:
            params = _params_by_group(trial, space)
            if params.keys() >= self._names:
                self._told.append((trial, {name: params[name] for name in names}))
        self._seen = len(self.trials)
        return self._told

    def frozen(self, at: int, objectives: Sequence[Objective]) -> Any:
        """The trial at index ``at`` of ``told`` as a ``FrozenTrial`` of Optuna. It is created once."""
        trial, params = self._told[at]
        if trial.number not in self._frozen:
            values = [trial.measurements[objective.measurement].value for objective in objectives]
            state, constraints = final_state(trial, True), told_constraints(trial)
            self._frozen[trial.number] = frozen_params(params, state=state, values=values, constraints=constraints)
        return self._frozen[trial.number]


def _params_by_group(trial: Trial, space: Space) -> dict[str, Any]:
    """The parameters of a trial, in the form of ``Trial.params``, with treatments by group of layers.

    Empty if its treatments have no form by group, or if a training made sparsity or clusters that must be kept.
    """
    assert space.statistics is not None
    choices, own = choices_of(trial), step_for(Role.BY_LAYER).script()
    if all(choices.get(name) == wanted for name, wanted in own.items() if name not in UNTRAINED_CHOICES):
        return dict(trial.params)
    steps = trial.candidate.of_stage(Stage.REWRITE)
    found = [script for step in steps if (script := step.script_by_group(space.statistics)) is not None]
    if not found or any(step.makes for step in trial.candidate.prefix.steps):
        return {}
    recorder = ChoiceRecorder(ScriptedChoices(choices | found[0]))
    space.suggest(recorder)
    return recorder.params


def draws(history: History, space: Space, seed: int) -> Iterator[dict[str, Any]]:
    """Yield choices of treatments: joint draws of all parameters by Optuna's multivariate TPE, then random draws."""
    script = step_for(Role.BY_LAYER).script()
    script |= UNTRAINED_CHOICES
    recorder = _Options(ScriptedChoices(script))
    space.suggest(recorder)
    fixed = {name: value for name, value in script.items() if name not in UNTRAINED_CHOICES}
    open_choices = {name: options for name, options in recorder.options.items() if name not in script}
    sampled = history.view(Sampled)
    known = sampled.told(space, open_choices.keys())
    front = {trial.number for trial in history.front}
    newest = len(known) - NUMBERS.told_trials
    told = [at for at, (trial, _) in enumerate(known) if at >= newest or trial.number in front]
    if len(told) >= NUMBERS.tpe_startup_trials:
        trials = [sampled.frozen(at, history.objectives) for at in told]
        params = {name: recorder.params[name] for name in open_choices}
        for drawn in joint_draws(trials, params, history.objectives, seed):
            yield fixed | {
                name: open_choices[name][value] if isinstance(params[name]["value"], int) else value
                for name, value in drawn.items()
            }
    draw = random.Random(derive(seed, "random", len(told)))
    for _ in range(NUMBERS.random_draws):
        yield fixed | {name: draw.choice(options) for name, options in open_choices.items()}


class _Options(ChoiceRecorder):
    """A ``ChoiceRecorder`` that also records the options of every choice."""

    def __init__(self, inner: ScriptedChoices) -> None:
        super().__init__(inner)
        self.options: dict[str, list[Any]] = {}

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.options[name] = list(options)
        return super().one_of(name, options)

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.options[name] = list(options)
        return super().level(name, options)
