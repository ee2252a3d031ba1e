"""Deployments: trained checkpoints of the Pareto front, converted in another way. This takes seconds: no training."""

from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates.arithmetic import float_is_better, in_float_if
from litetuner.search.proposals.neighbors import perturbations
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of, offers
from litetuner.search.proposals.recipes import CLIPPED, SOLVED
from litetuner.search.trial import Trial
from litetuner.spaces.space import ScriptedChoices, Space

# Every trained file on the Pareto front is first deployed in these ways, then in random ones.
PLANNED: tuple[dict[str, Any], ...] = (
    CLIPPED,
    *SOLVED,
    {"deploy": "int8", "io": "int8"},
    {"deploy": "mixed", "mixed.int4": POLICY.deployments.int4_share},
)


class Deployed:
    """The numbers of trials whose planned deployments are all known to the history or not possible."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()

    def add(self, trial: Trial, gain: float) -> None:
        """Does nothing: a new trial changes nothing for earlier ones. See ``View.add``."""


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """A planned deployment, else a random one. The whole space is used, since nothing is trained."""
    return planned(history, spaces.whole) or _random(history, spaces.whole, seed)


def planned(history: History, space: Space) -> Proposal | None:
    """The first planned deployment of a trained file on the Pareto front that is new to the history."""
    done, better = history.view(Deployed).numbers, float_is_better(history)
    for trial in history.front:
        if not trial.candidate.prefix.steps or not trial.params or trial.number in done:
            continue
        choices = choices_of(trial)
        for change in ({**each, **in_float_if(better, each)} for each in PLANNED):
            script = ScriptedChoices(choices | change)
            candidate = space.suggest(script)
            same = candidate.prefix == trial.candidate.prefix
            if same and not history.knows(candidate.key) and offers(space, ScriptedChoices(change), choices):
                return Proposal("variant", space, script, candidate)
        done.add(trial.number)
    return None


def _random(history: History, space: Space, seed: int) -> Proposal | None:
    members = [trial for trial in history.front if trial.params and trial.candidate.prefix.steps]
    for member, script in perturbations(history, space, members, seed, deployment_only=True):
        candidate = space.suggest(script)
        if candidate.prefix == member.candidate.prefix and not history.knows(candidate.key):
            return Proposal("variant", space, script, candidate)
    return None
