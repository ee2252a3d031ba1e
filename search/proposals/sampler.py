"""The sampler: Optuna chooses. Where layers can be treated without training, it chooses their treatments, which cost seconds."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates import (
    UNTRAINED,
    Estimator,
    TrainedEstimator,
    estimator_after,
    expected_gain,
    narrowed,
    offered,
    violation,
)
from litetuner.search.proposals.neighbors import TrainedChoices
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of
from litetuner.search.proposals.samplers.tpe import Tpe
from litetuner.search.runs.optuna_trials import final_state, frozen_params, told_constraints
from litetuner.search.runs.study import ChoiceRecorder
from litetuner.search.seeds import derive
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import NO
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.steps import step_for, steps_of

NUMBERS = POLICY.samplers
UNTRAINED_CHOICES: dict[str, Any] = {"train": NO}


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Of treatments that Optuna draws for groups of layers, those that should gain the most hypervolume within all budgets.

    What is treated is the model, or what was trained for a file of the Pareto front. Where no draw should fit the budgets it
    is the one with the least excess. Where layers cannot be treated it is Optuna's choice in the whole space, trained for
    the shortest length.
    """
    space = spaces.whole
    if space.statistics is None or not offered(space.statistics, space.deployments()):
        return Proposal("sampler", spaces.short)
    bases = list(_bases(history, space, space.statistics))
    best: tuple[tuple[float, float], dict[str, Any], Candidate] | None = None
    for drawn in _draws(history, space, seed):
        for base, before, estimator in bases:
            script = before | drawn
            candidate = space.suggest(ScriptedChoices(script))
            if candidate.prefix != base or history.knows(candidate.key):
                continue
            told = estimator.measurements(candidate)
            rank = violation(told, history), -expected_gain(told, history)
            if best is None or rank < best[0]:
                best = rank, script, candidate
    if best is None:
        return Proposal("sampler", spaces.short)
    return Proposal("sampler", space, ScriptedChoices(best[1]), best[2])


def _bases(
    history: History, space: Space, layers: Statistics
) -> Iterator[tuple[Candidate, dict[str, Any], Estimator | TrainedEstimator]]:
    """Nothing trained, and the newest trained parts of the front: each with the choices that lead to it."""
    yield UNTRAINED, UNTRAINED_CHOICES, Estimator.of(history, layers)
    known = history.view(TrainedChoices)
    newest = {
        trial.candidate.prefix: trial for trial in history.front if trial.params and trial.state is State.COMPLETE
    }
    for base, trial in sorted(newest.items(), key=lambda item: -item[1].number)[: NUMBERS.trained_bases]:
        found = estimator_after(base, history, layers) if base.steps else None
        if found is not None:
            trained = known.names(space, trial)
            yield base, {name: value for name, value in choices_of(trial).items() if name in trained}, found


def propose_any_length(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice, the length of training included: for samplers that no other strategy helps."""
    return Proposal("sampler", spaces.affordable)


class Sampled:
    """The trials that Optuna is told of, by all strategies, with parameters by group: those that treat layers.

    A trial that treats each layer for itself counts as the nearest one that treats groups.
    """

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._params: dict[int, dict[str, Any]] = {}

    def add(self, trial: Trial, gain: float) -> None:
        if trial.state.scored and trial.duplicate_of is None and not narrowed(trial.candidate):
            self.trials.append(trial)

    def told(self, space: Space, names: Collection[str]) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """Each with its parameters of these names."""
        for trial in self.trials:
            if trial.number not in self._params:
                self._params[trial.number] = _params_by_group(trial, space)
            params = self._params[trial.number]
            if params.keys() >= set(names):
                yield trial, {name: params[name] for name in names}


def _params_by_group(trial: Trial, space: Space) -> dict[str, Any]:
    """Empty for a trial that does not treat layers."""
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


def _draws(history: History, space: Space, seed: int) -> Iterator[dict[str, Any]]:
    """Scripts: a few that Optuna draws from all parameters together (multivariate TPE), then random ones."""
    script = step_for(Role.BY_LAYER).script()
    script |= {kind.name: NO for kind in steps_of(Stage.REWRITE) if kind.changes_shapes}  # these have no estimates
    recorder = _Options(ScriptedChoices(script))
    space.suggest(recorder)
    fixed = {name: value for name, value in script.items() if name not in UNTRAINED_CHOICES}
    open_choices = {name: options for name, options in recorder.options.items() if name not in script}
    known = list(history.view(Sampled).told(space, open_choices.keys()))
    front = {trial.number for trial in history.front}
    newest = len(known) - NUMBERS.told_trials
    told = [pair for at, pair in enumerate(known) if at >= newest or pair[0].number in front]
    if len(told) >= NUMBERS.tpe_startup_trials:
        yield from (fixed | drawn for drawn in _optuna_draws(history, told, recorder, open_choices, seed))
    draw = random.Random(derive(seed, "random", len(told)))
    for _ in range(NUMBERS.random_draws):
        yield fixed | {name: draw.choice(options) for name, options in open_choices.items()}


def _optuna_draws(
    history: History,
    told: Sequence[tuple[Trial, dict[str, Any]]],
    recorder: "_Options",
    names: dict[str, list[Any]],
    seed: int,
) -> Iterator[dict[str, Any]]:
    import optuna

    study = optuna.create_study(directions=[objective.direction for objective in history.objectives])
    for trial, params in told:
        values = [trial.measurements[objective.measurement].value for objective in history.objectives]
        state, constraints = final_state(trial, True), told_constraints(trial)
        study.add_trial(frozen_params(params, state=state, values=values, constraints=constraints))
    study.ask()  # the sampler notes what it did with a trial of the study
    pending = study.get_trials(deepcopy=False)[-1]
    space = frozen_params({name: recorder.params[name] for name in names}, state=pending.state).distributions
    sampler = Tpe().joint(seed)
    for _ in range(NUMBERS.draws):
        found = sampler.sample_relative(study, pending, space)
        yield {
            name: names[name][value] if isinstance(space[name], optuna.distributions.IntDistribution) else value
            for name, value in found.items()
        }


class _Options(ChoiceRecorder):
    """Keeps the options of every choice as well."""

    def __init__(self, inner: ScriptedChoices) -> None:
        super().__init__(inner)
        self.options: dict[str, list[Any]] = {}

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.options[name] = list(options)
        return super().one_of(name, options)

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.options[name] = list(options)
        return super().level(name, options)
