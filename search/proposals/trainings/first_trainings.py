"""First trainings: what was solved for without training and could reach the front is trained, beginning with what was solved for.

The choices that were solved for stay: sparsity, clusters, bits. How it is trained (schedule of the sparsity, quantization-aware
or not, of which layers, learning rate, distillation) is drawn by Optuna from what earlier first trainings recovered.
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
KEPT = ("io", "calibration")  # choices of the deployment


@dataclasses.dataclass(frozen=True)
class PartlyFixed:
    """A ``Chooser`` that takes fixed choices where there are any, and asks another one for the rest; learning rates are few."""

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
    """The trials that were solved for without training, and their first trainings."""

    def __init__(self) -> None:
        self.open: dict[int, Trial] = {}  # by number
        self.promoted: list[Trial] = []  # with an answer, those that a gate stopped too
        # By number: choices of the trained counterpart, if there is one.
        self.fixed: dict[int, dict[str, Any] | None] = {}
        self.parents: dict[int, int] = {}  # of promotions, by number
        self.gains: dict[int, float] = {}  # by number, expected: never more while the outcomes stay, as the front grows
        self.outcomes: Outcomes | None = None  # that the gains are computed with
        self.best: dict[tuple[float, ...], Proposal | None] = {}  # by lengths: asked for twice on each turn
        self._trained: dict[tuple[int, tuple[float, ...]], Candidate] = {}  # by number and lengths
        self._frozen: dict[tuple[int, frozenset[str]], Any] = {}  # first trainings, by number and what was fixed
        # By number, lengths and attempt: choices and candidate, the same until another first training is told.
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
        """Find the counterparts of new trials, and whose trainings new promotions are."""
        for number, trial in self.open.items():
            if number not in self.fixed:
                self.fixed[number] = fixed_choices(trial, space)
        for trial in self.promoted[len(self.parents) :]:
            chosen = choices_of(trial)
            first = chosen.get("epochs") == space.epochs[0]
            parents = (number for number, fixed in self.fixed.items() if first and fixed and _agree(fixed, chosen))
            parent = self.parents[trial.number] = next(parents, -1)
            if parent >= 0 and not _recoverable(trial):  # however it is trained, its size and latency stay
                self.fixed[parent] = None

    def trained(self, number: int, space: Space) -> Candidate:
        """A trial's counterpart, where all that is not fixed stays as it is."""
        key = number, space.epochs
        if key not in self._trained:
            self._trained[key] = space.suggest(ScriptedChoices(self.fixed[number] or {}))
        return self._trained[key]

    def frozen(self, fixed: Mapping[str, Any], pairs: Sequence[tuple[Trial, float, float]]) -> list[Any]:
        """First trainings as trials of Optuna's, whose value is how much larger the drop is after the training."""
        names, state = frozenset(fixed), final_state(pairs[0][0], True) if pairs else None
        for trial, was, now in pairs:
            if (trial.number, names) not in self._frozen:
                told = {
                    name: entry for name, entry in trial.params.items() if name not in names and "distribution" in entry
                }
                self._frozen[trial.number, names] = frozen_params(told, state=state, values=[now - was])
        return [self._frozen[trial.number, names] for trial, _, _ in pairs]

    def recovered(self) -> list[tuple[Trial, float, float]]:
        """The first trainings, each with the drop before and after it."""
        trials = {trial.number: trial for trial in self.promoted if trial.value("drop") is not None}
        found = [(trials[at], self.open[parent]) for at, parent in self.parents.items() if parent >= 0 and at in trials]
        return [(trial, before.measurements["drop"].value, trial.measurements["drop"].value) for trial, before in found]


def _recoverable(trial: Trial) -> bool:
    """Does it keep all budgets but those that a training may yet keep?"""
    return {name for name, value in trial.constraints.items() if value > 0} <= set(ACCURACY_BUDGETS)


def solved_step(trial: Trial) -> Step | None:
    """The rewriting step that did without training what trainings do: its knobs are named as what they make."""
    made = {kind.makes for kind in steps_of(Stage.TRAIN) if kind.makes}
    return next(
        (step for step in trial.candidate.of_stage(Stage.REWRITE) if made and made <= step.knobs().keys()), None
    )


def fixed_choices(trial: Trial, space: Space) -> dict[str, Any] | None:
    """The choices that a trial's trained counterpart has in common with it; ``None`` where the space has no counterpart."""
    solved, integer = solved_step(trial), step_for(Role.INTEGER).name
    if solved is None or not computes_in_integers(trial.candidate):  # as what is trained does
        return None
    if any(step.changes_shapes for step in trial.candidate.steps):  # trainings choose other channels
        return None
    # Trained, 3 values per channel become 3 per tensor: a DS-CNN of 2-bit layers had .952 before and .878 after.
    if any(Treatment(*treatment).bits == 2 for _, *treatment in solved.knobs()["layers"]):
        return None
    fixed: dict[str, Any] = {name: value for name, value in choices_of(trial).items() if name in KEPT}
    treatment = {name: value for name, value in choices_of(trial).items() if name.startswith(f"{solved.name}.")}
    layers = space.statistics.layers if solved.knobs()["layers"] and space.statistics else ()
    if not treatment or not all(layer.keras_layer for layer in layers):  # which layers to treat so is not certain
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
    """The first training that should gain the most hypervolume per second, or ``None`` where none may gain any."""
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
        assert history.growth is not None  # there are scored trials
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
    """A candidate without an answer that trains a trial, as Optuna draws it."""
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
    # Not the number: lost trials have one too, and a killed search resumes as an undisturbed one.
    seed = derive("first training", known.open[number].candidate.key, len(known.promoted), attempt)
    asked = OptunaChoices(_optuna_trial(known.frozen(fixed, pairs), seed))
    recorded = RecordedChoices(PartlyFixed(fixed, asked))
    candidate = space.suggest(recorded)
    return recorded.chosen, candidate


def _optuna_trial(trials: Sequence[Any], seed: int) -> Any:
    """A trial of a study of first trainings."""
    import optuna

    return optuna.create_study(storage=given_trials(trials), sampler=Tpe().make(seed)).ask()


def _agree(fixed: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    return all(chosen[name] == value for name, value in fixed.items() if name in chosen)
