"""First trainings: files that were reconstructed without training are trained if they could reach the Pareto front.

A first training starts from the reconstructed weights and keeps their sparsity, clusters and bits. Optuna draws how to
train: the sparsity schedule, whether to use quantization-aware training and on which layers, the learning rate and
distillation. It learns from the drops that earlier first trainings recovered.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.search.config.budgets import ACCURACY_BUDGETS
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.draws.given_trials import given_trials
from litetuner.search.proposals.estimates.arithmetic import computes_in_integers
from litetuner.search.proposals.proposal import Proposal, RecordedChoices, choices_of
from litetuner.search.proposals.samplers.tpe import Tpe
from litetuner.search.proposals.seeds import derive
from litetuner.search.proposals.trainings.outcomes import Outcomes
from litetuner.search.runs.optuna_study import OptunaChoices
from litetuner.search.runs.optuna_trials import final_state, frozen_params
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import NO, YES, Chooser
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for, steps_of

NUMBERS = POLICY.promotions
KEPT = ("io", "calibration")  # choices of the deployment that a first training keeps


@dataclasses.dataclass(frozen=True)
class PartlyFixed:
    """A ``Chooser`` with some fixed choices that asks another one for the rest.

    Learning rates are restricted to ``first_rates``, if the space has any of them: the nearest one on a log scale.
    """

    fixed: Mapping[str, Any]
    asked: Chooser

    def one_of(self, name: str, options: Sequence[str]) -> str:
        return (ScriptedChoices(self.fixed) if name in self.fixed else self.asked).one_of(name, options)

    def level(self, name: str, options: Sequence[Any]) -> Any:
        chosen = (ScriptedChoices(self.fixed) if name in self.fixed else self.asked).level(name, options)
        if name != "learning_rate":
            return chosen
        allowed = [option for option in options if option in NUMBERS.first_rates] or list(options)
        return min(allowed, key=lambda option: abs(math.log(option / chosen)))


class Solved:
    """The trials that were reconstructed without training, and their first trainings."""

    def __init__(self) -> None:
        self.open: dict[int, Trial] = {}  # reconstructed trials that may be trained, by number
        self.promoted: list[Trial] = []  # promotions with a result, including those that a gate stopped
        # By number of an open trial: the fixed choices of its first trainings; ``None`` if it cannot be trained.
        self.fixed: dict[int, dict[str, Any] | None] = {}
        self.parents: dict[int, int] = {}  # by number of a promotion: its open trial, -1 if it has none
        # By number: upper bounds of the expected gains, since gains only decrease while the front grows and the
        # outcomes stay the same.
        self.gains: dict[int, float] = {}
        self.outcomes: Outcomes | None = None  # the outcomes that ``gains`` were computed with
        self.best: dict[tuple[float, ...], Proposal | None] = {}  # by lengths; cached, as each proposal needs it twice
        self._trained: dict[tuple[int, tuple[float, ...]], Candidate] = {}  # by number and lengths: see ``trained``
        self._frozen: dict[tuple[int, frozenset[str]], Any] = {}  # by number and names of fixed choices: Optuna trials
        # By number, lengths and attempt: the drawn choices and their candidate, kept until another promotion is told.
        self.drawn: dict[tuple[int, tuple[float, ...], int], tuple[dict[str, Any], Candidate]] = {}

    def add(self, trial: Trial, gain: float) -> None:
        self.best.clear()
        if trial.duplicate_of is not None or trial.state is State.LOST:
            return
        if trial.origin == "promotion":
            self.promoted.append(trial)
            self.drawn.clear()
        solved = trial.state.scored and not trial.candidate.prefix.steps and solved_step(trial) is not None
        if solved and trial.value("drop") is not None and _recoverable(trial):
            self.open[trial.number] = trial
            self.gains[trial.number] = math.inf

    def update(self, space: Space) -> None:
        """Find the fixed choices of new open trials, and the open trials that new promotions belong to."""
        for number, trial in self.open.items():
            if number not in self.fixed:
                self.fixed[number] = fixed_choices(trial, space)
        for trial in self.promoted[len(self.parents) :]:
            chosen = choices_of(trial)
            first = chosen.get("epochs") == space.epochs[0]
            parents = (number for number, fixed in self.fixed.items() if first and fixed and _agree(fixed, chosen))
            parent = self.parents[trial.number] = next(parents, -1)
            if parent >= 0 and not _recoverable(trial):  # other trainings have the same size and latency
                self.fixed[parent] = None

    def trained(self, number: int, space: Space) -> Candidate:
        """The first training of an open trial with the first option for each choice that is not fixed."""
        key = number, space.epochs
        if key not in self._trained:
            self._trained[key] = space.suggest(ScriptedChoices(self.fixed[number] or {}))
        return self._trained[key]

    def frozen(self, fixed: Mapping[str, Any], pairs: Sequence[tuple[Trial, float, float]]) -> list[Any]:
        """First trainings as Optuna trials without the fixed choices. Their value is the drop after minus before."""
        names, state = frozenset(fixed), final_state(pairs[0][0], True) if pairs else None
        for trial, was, now in pairs:
            if (trial.number, names) not in self._frozen:
                told = {
                    name: entry for name, entry in trial.params.items() if name not in names and "distribution" in entry
                }
                self._frozen[trial.number, names] = frozen_params(told, state=state, values=[now - was])
        return [self._frozen[trial.number, names] for trial, _, _ in pairs]

    def recovered(self) -> list[tuple[Trial, float, float]]:
        """The measured first trainings as (trial, drop before, drop after)."""
        trials = {trial.number: trial for trial in self.promoted if trial.value("drop") is not None}
        found = [(trials[at], self.open[parent]) for at, parent in self.parents.items() if parent >= 0 and at in trials]
        return [(trial, before.measurements["drop"].value, trial.measurements["drop"].value) for trial, before in found]


def _recoverable(trial: Trial) -> bool:
    """True if the trial keeps all budgets, except those on accuracy, which a training may still reach."""
    return {name for name, value in trial.constraints.items() if value > 0} <= set(ACCURACY_BUDGETS)


def solved_step(trial: Trial) -> Step | None:
    """The rewriting step that made sparsity and clusters without training, or ``None``.

    It is found by its knobs: they have the names of the properties that trainings make.
    """
    made = {kind.makes for kind in steps_of(Stage.TRAIN) if kind.makes}
    return next(
        (step for step in trial.candidate.of_stage(Stage.REWRITE) if made and made <= step.knobs().keys()), None
    )


def fixed_choices(trial: Trial, space: Space) -> dict[str, Any] | None:
    """The choices that all first trainings of a reconstructed trial share; ``None`` if it cannot be trained."""
    solved, integer = solved_step(trial), step_for(Role.INTEGER).name
    if solved is None or not computes_in_integers(trial.candidate):  # trained files compute with integers
        return None
    if any(step.changes_shapes for step in trial.candidate.steps):  # trainings would choose other channels
        return None
    # Training turns 3 values per channel into 3 per tensor: with 2-bit layers, the accuracy of a DS-CNN fell from .952
    # to .878.
    if any(Treatment(*treatment).bits == 2 for _, *treatment in solved.knobs()["layers"]):
        return None
    fixed: dict[str, Any] = {name: value for name, value in choices_of(trial).items() if name in KEPT}
    treatment = {name: value for name, value in choices_of(trial).items() if name.startswith(f"{solved.name}.")}
    layers = space.statistics.layers if solved.knobs()["layers"] and space.statistics else ()
    if not treatment or not all(layer.keras_layer for layer in layers):  # the Keras layers to treat are not certain
        return None
    fixed |= treatment
    fixed |= {"train": YES, "deploy": integer} | {kind.name: NO for kind in steps_of(Stage.RESHAPE)}
    for kind in steps_of(Stage.TRAIN):
        own = kind.trained_choices(solved.knobs())
        if own is None:
            return None
        fixed |= own
    shares = any(kind.makes == "clusters" and fixed[kind.name] != NO for kind in steps_of(Stage.TRAIN))
    fixed[f"{integer}.scales"] = "tensor" if shares else "channel"
    recorded = RecordedChoices(ScriptedChoices(fixed))
    candidate = space.suggest(recorded)
    wanted = [kind.name for kind in steps_of(Stage.TRAIN) if fixed.get(kind.name, NO) != NO]
    if any(recorded.chosen.get(name) != fixed[name] for name in wanted):
        return None
    if not set(wanted) <= {step.name for step in candidate.steps}:
        return None
    if not any(step.role is Role.INTEGER or step.precision("") is not None for step in candidate.deployment):
        return None
    return fixed | {name: value for name, value in recorded.chosen.items() if name in fixed}


def propose(history: History, space: Space) -> Proposal | None:
    """The first training with the highest expected gain of hypervolume per second, or ``None`` if none gains any."""
    known = history.view(Solved)
    if space.epochs not in known.best:
        known.update(space)
        known.best[space.epochs] = _best(history, space, known)
    return known.best[space.epochs]


def _best(history: History, space: Space, known: Solved) -> Proposal | None:
    pairs = known.recovered()
    outcomes = Outcomes.learned(NUMBERS.first, history.allowed_drop, [(was, now) for _, was, now in pairs])
    if outcomes != known.outcomes:
        known.gains = dict.fromkeys(known.open, math.inf)
    known.outcomes = outcomes
    tried: dict[int, int] = {}
    for parent in known.parents.values():
        tried[parent] = tried.get(parent, 0) + 1

    def per_second(number: int) -> float:
        seconds = max(NUMBERS.least_seconds, history.training_seconds(known.trained(number, space)))
        return known.gains[number] / (1 + tried.get(number, 0)) / seconds

    able = {number for number, gain in known.gains.items() if gain and known.fixed[number]}
    rates = {number: per_second(number) for number in able if tried.get(number, 0) < NUMBERS.first_trainings}
    while rates:
        number = max(rates, key=lambda at: (rates[at], -at))
        if not rates[number]:
            return None
        stale = rates[number]
        assert history.growth is not None  # since there are scored trials
        known.gains[number] = outcomes.gain(known.open[number], history.growth)
        rates[number] = per_second(number)
        if rates[number] == stale or rates[number] >= max(rates.values()) > 0:
            found = _drawn(history, space, known, number, pairs)
            if found is not None:
                return dataclasses.replace(found, gain_per_second=rates[number])
            del rates[number]
    return None


def _drawn(
    history: History, space: Space, known: Solved, number: int, pairs: Sequence[tuple[Trial, float, float]]
) -> Proposal | None:
    """A new first training of an open trial, drawn by Optuna; ``None`` if all ``draws`` attempts are known already."""
    for attempt in range(NUMBERS.draws):
        key = number, space.epochs, attempt
        if key not in known.drawn:
            known.drawn[key] = _draw(space, known, number, pairs, attempt)
        chosen, candidate = known.drawn[key]
        if not history.knows(candidate.key):
            return Proposal("promotion", space, ScriptedChoices(chosen), candidate)
    return None


def _draw(
    space: Space, known: Solved, number: int, pairs: Sequence[tuple[Trial, float, float]], attempt: int
) -> tuple[dict[str, Any], Candidate]:
    fixed = known.fixed[number] or {}
    # The seed does not use the trial number: lost trials have one too, so a resumed search would get other seeds.
    seed = derive("first training", known.open[number].candidate.key, len(known.promoted), attempt)
    asked = OptunaChoices(_optuna_trial(known.frozen(fixed, pairs), seed))
    recorded = RecordedChoices(PartlyFixed(fixed, asked))
    candidate = space.suggest(recorded)
    return recorded.chosen, candidate


def _optuna_trial(trials: Sequence[Any], seed: int) -> Any:
    """A new trial of an Optuna study with these first trainings."""
    import optuna

    return optuna.create_study(storage=given_trials(trials), sampler=Tpe().make(seed)).ask()


def _agree(fixed: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    return all(chosen[name] == value for name, value in fixed.items() if name in chosen)
