"""The sampler: Optuna chooses. Where layers can be treated without training, it chooses their treatments, which cost seconds."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates import Estimator, offered
from litetuner.search.proposals.proposal import Proposal, Spaces
from litetuner.search.proposals.samplers.tpe import Tpe
from litetuner.search.runs.optuna_trials import final_state, frozen_params, told_constraints
from litetuner.search.runs.study import ChoiceRecorder
from litetuner.search.seeds import derive
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import NO
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.steps import step_for, steps_of

NUMBERS = POLICY.samplers


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Treatments of groups of layers that Optuna draws and that should fit all budgets; the least excess where none does.

    Where layers cannot be treated so it is Optuna's choice in the whole space, trained for the shortest length.
    """
    space = spaces.whole
    if space.statistics is None or not offered(space.statistics, space.deployments()):
        return Proposal("sampler", spaces.short)
    estimator = Estimator.of(history, space.statistics)
    best: tuple[float, dict[str, Any], Candidate] | None = None
    for script in _draws(history, space, seed):
        candidate = space.suggest(ScriptedChoices(script))
        if history.knows(candidate.key):
            continue
        excess = estimator.violation(candidate, history)
        if best is None or excess < best[0]:
            best = excess, script, candidate
        if excess <= 0:
            break
    if best is None:
        return Proposal("sampler", spaces.short)
    return Proposal("sampler", space, ScriptedChoices(best[1]), best[2])


def propose_any_length(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice, the length of training included: for samplers that no other strategy helps."""
    return Proposal("sampler", spaces.affordable)


class Sampled:
    """The trials that Optuna is told of: untrained ones with all channels, as those that it chooses among."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def add(self, trial: Trial, gain: float) -> None:
        if trial.duplicate_of is not None or trial.candidate.prefix.steps:
            return
        if trial.state.scored and not any(step.changes_shapes for step in trial.candidate.steps):
            self.trials.append(trial)


def _draws(history: History, space: Space, seed: int) -> Iterator[dict[str, Any]]:
    """Scripts: a few that Optuna draws from all parameters together (multivariate TPE), then random ones."""
    fixed = step_for(Role.BY_LAYER).script()
    fixed |= {kind.name: NO for kind in steps_of(Stage.REWRITE) if kind.changes_shapes}  # these have no estimates
    recorder = _Options(ScriptedChoices(fixed))
    space.suggest(recorder)
    open_choices = {name: options for name, options in recorder.options.items() if name not in fixed}
    told = [trial for trial in history.view(Sampled).trials if open_choices.keys() <= trial.params.keys()]
    if len(told) >= NUMBERS.tpe_startup_trials:
        yield from (fixed | drawn for drawn in _optuna_draws(history, told, recorder, open_choices, seed))
    draw = random.Random(derive(seed, "random", len(told)))
    for _ in range(NUMBERS.random_draws):
        yield fixed | {name: draw.choice(options) for name, options in open_choices.items()}


def _optuna_draws(
    history: History, told: Sequence[Trial], recorder: "_Options", names: dict[str, list[Any]], seed: int
) -> Iterator[dict[str, Any]]:
    import optuna

    study = optuna.create_study(directions=[objective.direction for objective in history.objectives])
    for trial in told:
        params = {name: trial.params[name] for name in names}
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
