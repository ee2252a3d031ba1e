"""The sampler: Optuna chooses. Where layers can be treated without training, it chooses their treatments, which cost seconds."""

from typing import Any

from litetuner.search.history import History
from litetuner.search.proposals.bases import bases
from litetuner.search.proposals.draws.treatments import draws
from litetuner.search.proposals.estimates.arithmetic import computes_in_integers, float_is_better
from litetuner.search.proposals.estimates.estimates import base_of, expected_gain, offered, violation
from litetuner.search.proposals.proposal import Proposal, Spaces
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.space import ScriptedChoices


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Of treatments that Optuna draws for groups of layers, those that should gain the most hypervolume within all budgets.

    What is treated is the model, or what was trained or cut for a file of the Pareto front. Where no draw should fit the
    budgets it is the one with the least excess. Where layers cannot be treated it is Optuna's choice in the whole space,
    trained for the shortest length.
    """
    space = spaces.whole
    if space.statistics is None or not offered(space.statistics, space.deployments()):
        return Proposal("sampler", spaces.short)
    known, slow = list(bases(history, space, space.statistics)), float_is_better(history)
    best: tuple[tuple[float, float, bool], dict[str, Any], Candidate] | None = None
    for drawn in draws(history, space, seed):
        for base in known:
            script = {**base.choices, **drawn}
            candidate = space.suggest(ScriptedChoices(script))
            if base_of(candidate) != base.candidate:
                continue
            told = base.estimator.measurements(candidate)
            excess = violation(told, history)
            if best is not None and excess > best[0][0]:
                continue  # the hypervolume need not be known
            # Most draws should gain nothing: of these, those that are not slower than others of the same accuracy and size.
            rank = excess, -expected_gain(told, history), computes_in_integers(candidate) == slow
            if (best is None or rank < best[0]) and not history.knows(candidate.key):
                best = rank, script, candidate
    if best is None:
        return Proposal("sampler", spaces.short)
    return Proposal("sampler", space, ScriptedChoices(best[1]), best[2])


def propose_any_length(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice, the length of training included: for samplers that no other strategy helps."""
    return Proposal("sampler", spaces.affordable)
