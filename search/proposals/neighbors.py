"""Neighbors: candidates beside those of the front, a choice or two away, or with the deployment of another one."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.proposals.recipes import Proposal, RecordedChoices
from litetuner.search.trial import Trial
from litetuner.spaces.space import ScriptedChoices, Space

TRIES = 30  # to find one that was not told yet
CROSSED = 0.3  # so often the other part comes from another member of the front
MORE = (0.4, 0.1)  # chances of a second and of a third changed choice
MOST_SHARE = 0.2  # of the seconds of all trials so far may one be expected to train for: early ones are to be cheap
NEXT = 0.7  # so often an ordered choice moves by one level only


@dataclasses.dataclass
class PerturbedChoices:
    """A ``Chooser`` by a script: choices in ``changed`` become others, those that it does not know are drawn.

    What was drawn stays: asked twice, it answers twice the same.
    """

    script: dict[str, Any]
    changed: frozenset[str]
    random: random.Random
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def one_of(self, name: str, options: Sequence[str]) -> str:
        if self.chosen.get(name) not in options:
            now = self.script.get(name)
            others = [option for option in options if option != now]
            stays = now in options and not (name in self.changed and others)
            self.chosen[name] = now if stays else self.random.choice(others)
        return str(self.chosen[name])

    def level(self, name: str, options: Sequence[Any]) -> Any:
        if self.chosen.get(name) not in options:
            self.chosen[name] = self._level(name, list(options))
        return self.chosen[name]

    def _level(self, name: str, options: list[Any]) -> Any:
        if name not in self.script:
            return self.random.choice(options)
        at = min(range(len(options)), key=lambda index: abs(options[index] - self.script[name]))
        if name not in self.changed or len(options) == 1:
            return options[at]
        beside = [index for index in (at - 1, at + 1) if 0 <= index < len(options)]
        others = [index for index in range(len(options)) if index != at]
        return options[self.random.choice(beside if self.random.random() < NEXT else others)]


class TrainedChoices:
    """Which choices of a trial led to what it trained: found once, and asked for at every try."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, bool], set[str]] = {}

    def add(self, trial: Trial, gain: float) -> None:
        """Nothing changes for the trials before. See ``View.add``."""

    def trained(self, space: Space, trial: Trial) -> set[str]:
        """The names of the choices."""
        key = (trial.number, space.train)
        if key not in self._names:
            seen = RecordedChoices(ScriptedChoices(_choices(trial)))
            space.trained(seen)
            self._names[key] = set(seen.chosen)
        return self._names[key]


def neighbor(space: Space, told: History, seed: int, *, origin: str) -> Proposal | None:
    """A candidate near the front that was not told yet, or ``None`` where none is found.

    A "neighbor" changes what is trained, mostly; a "variant" has the trained part of a member of the front, which costs
    no training, and another deployment. What would take too long for so early a trial is left for later.
    """
    draw = random.Random(seed)
    parts = told.view(TrainedChoices)
    members = [trial for trial in told.front if trial.params and (origin != "variant" or trial.candidate.prefix.steps)]
    for _ in range(TRIES if members else 0):
        member, other = draw.choice(members), draw.choice(told.front)
        own, its = _choices(member), _choices(other)
        trained = parts.trained(space, member)
        deployed = [name for name in own if name not in trained]
        if other.params and draw.random() < CROSSED:
            theirs = parts.trained(space, other)
            deployment = {name: value for name, value in its.items() if name not in theirs}
            own = {name: value for name, value in own.items() if name in trained} | deployment
        part = deployed if origin == "variant" or not trained else trained
        names = sorted(name for name in part if name in own and name != "epochs")
        count = 1 + sum(draw.random() < chance for chance in MORE)
        script = PerturbedChoices(own, frozenset(draw.sample(names, min(count, len(names)))), draw)
        candidate = space.suggest(script)
        if origin == "variant" and candidate.prefix != member.candidate.prefix:
            continue
        if not told.knows(candidate.key) and told.price(candidate) <= MOST_SHARE * told.seconds:
            return Proposal(script, candidate, origin)
    return None


def _choices(trial: Trial) -> dict[str, Any]:
    return {name: entry["chosen"] for name, entry in trial.params.items()}
