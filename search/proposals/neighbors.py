"""Neighbors: candidates whose training differs in a choice or two from that of a member of the Pareto front."""

from __future__ import annotations

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.perturbation import perturbations
from litetuner.search.proposals.proposal import Proposal, Spaces


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """A new candidate near the front, or ``None`` where none is found. What would train for too long so early is left out."""
    space = spaces.short
    members = [trial for trial in history.front if trial.params]
    most_seconds = POLICY.neighbors.most_share_of_time * history.seconds
    for _, script in perturbations(history, space, members, seed, deployment_only=False):
        candidate = space.suggest(script)
        if not history.knows(candidate.key) and history.training_seconds(candidate) <= most_seconds:
            return Proposal("neighbor", space, script, candidate)
    return None
