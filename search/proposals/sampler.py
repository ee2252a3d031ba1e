"""The sampler: Optuna chooses. Where layers can be treated without training, it chooses their treatments, which cost seconds."""

from collections.abc import Iterator
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.draws.treatments import UNTRAINED_CHOICES, draws
from litetuner.search.proposals.estimates import (
    UNTRAINED,
    Estimator,
    TrainedEstimator,
    estimator_after,
    expected_gain,
    offered,
    untrained_estimator,
    violation,
)
from litetuner.search.proposals.neighbors import TrainedChoices
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of
from litetuner.search.trial import State
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import ScriptedChoices, Space

NUMBERS = POLICY.samplers


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
    for drawn in draws(history, space, seed):
        for base, before, estimator in bases:
            script = before | drawn
            candidate = space.suggest(ScriptedChoices(script))
            if candidate.prefix != base:
                continue
            told = estimator.measurements(candidate)
            excess = violation(told, history)
            if best is not None and excess > best[0][0]:
                continue  # the hypervolume need not be known
            rank = excess, -expected_gain(told, history)
            if (best is None or rank < best[0]) and not history.knows(candidate.key):
                best = rank, script, candidate
    if best is None:
        return Proposal("sampler", spaces.short)
    return Proposal("sampler", space, ScriptedChoices(best[1]), best[2])


def _bases(
    history: History, space: Space, layers: Statistics
) -> Iterator[tuple[Candidate, dict[str, Any], Estimator | TrainedEstimator]]:
    """Nothing trained, and the newest trained parts of the front: each with the choices that lead to it."""
    yield UNTRAINED, UNTRAINED_CHOICES, untrained_estimator(history, layers)
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
