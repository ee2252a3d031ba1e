"""The sampler: Optuna chooses the candidate.

If layers can be treated without training, it chooses their treatments, since such a trial takes only seconds.
"""

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
    """Drawn treatments for groups of layers: those with the highest expected gain of hypervolume within the budgets.

    Optuna draws some of them, others are random. Each is estimated for every base: the model, and trained or
    channel-pruned models of the Pareto front. If no draw is expected to fit the budgets, the one with the smallest
    violation is taken. If layers cannot be treated or no draw is new, Optuna chooses from the affordable space with the
    shortest training.
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
                continue  # skip the computation of the hypervolume
            # Most draws are expected to gain nothing. Among these, the faster arithmetic is preferred: float32 where
            # integers are slow, else integers.
            rank = excess, -expected_gain(told, history), computes_in_integers(candidate) == slow
            if (best is None or rank < best[0]) and not history.knows(candidate.key):
                best = rank, script, candidate
    if best is None:
        return Proposal("sampler", spaces.short)
    return Proposal("sampler", space, ScriptedChoices(best[1]), best[2])


def propose_any_length(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice from the affordable space with all training lengths, for samplers without other strategies."""
    return Proposal("sampler", spaces.affordable)
