"""The sampler: Optuna chooses when the trial begins, so its candidate is not known before."""

from litetuner.search.history import History
from litetuner.search.proposals.proposal import Proposal, Spaces


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice, trained for the shortest length: promotions make it longer."""
    return Proposal("sampler", spaces.short)


def propose_any_length(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """Optuna's choice, the length of training included: for samplers that no other strategy helps."""
    return Proposal("sampler", spaces.affordable)
