"""Baselines: the plain conversions of the model, which all other candidates are compared with. They are tried first."""

from collections.abc import Iterator, Sequence

from litetuner.search.history import History
from litetuner.search.proposals.proposal import Proposal, Spaces, first_new, offers
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps import STEPS

FIRST = ("float32", "int8")  # deployments; trial 0 is the unchanged float model
LATER = ("dynamic", "float16")  # tried later, since the first recipes gain more
BASELINE = Candidate((STEPS["float32"](),))  # without the slimming that all other candidates have


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    return first_new(baselines(spaces.affordable, FIRST), history)


def baselines(space: Space, deployments: Sequence[str]) -> Iterator[Proposal]:
    """The baselines of these deployments that the space offers."""
    for name in deployments:
        script = ScriptedChoices({"deploy": name})
        if name == "float32":  # even if --steps excludes float32: accuracy drops are relative to it
            yield Proposal("baseline", space, script, BASELINE)
        elif offers(space, script):
            yield Proposal("baseline", space, script, space.suggest(script))
