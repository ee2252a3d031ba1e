"""Neighbors: candidates that differ from a candidate on the Pareto front in a few random choices."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates.estimates import expected, violation
from litetuner.search.proposals.proposal import Proposal, RecordedChoices, Spaces, choices_of
from litetuner.search.trial import Trial
from litetuner.spaces.space import ScriptedChoices, Space


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """A new candidate that differs little from one on the Pareto front, or ``None`` if none is found.

    Candidates are skipped if their training is too long for this early point of the run (``most_share_of_time``), or if
    they treat layers and are expected to break a budget.
    """
    space = spaces.short
    members = [trial for trial in history.front if trial.params]
    most_seconds = POLICY.neighbors.most_share_of_time * history.seconds
    for _, script in perturbations(history, space, members, seed, deployment_only=False):
        candidate = space.suggest(script)
        if history.knows(candidate.key) or history.training_seconds(candidate) > most_seconds:
            continue
        if violation(expected(candidate, history, space.statistics), history) <= 0:
            return Proposal("neighbor", space, script, candidate)
    return None


@dataclasses.dataclass
class PerturbedChoices:
    """A ``Chooser`` that follows a script, but draws another option for each choice in ``changed``.

    Choices that are missing in the script are drawn at random. A choice stays the same when it is asked for again.
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
        adjacent = [index for index in (at - 1, at + 1) if 0 <= index < len(options)]
        others = [index for index in range(len(options)) if index != at]
        near = self.random.random() < POLICY.neighbors.next_level
        return options[self.random.choice(adjacent if near else others)]


class TrainedChoices:
    """The names of the choices that determine what a trial trains. They are cached, since each attempt needs them."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, bool], set[str]] = {}

    def add(self, trial: Trial, gain: float) -> None:
        """Does nothing: a new trial changes nothing for earlier ones. See ``View.add``."""

    def names(self, space: Space, trial: Trial) -> set[str]:
        key = (trial.number, space.train)
        if key not in self._names:
            recorded = RecordedChoices(ScriptedChoices(choices_of(trial)))
            space.trained(recorded)
            self._names[key] = set(recorded.chosen)
        return self._names[key]


def perturbations(
    history: History, space: Space, members: Sequence[Trial], seed: int, *, deployment_only: bool
) -> Iterator[tuple[Trial, PerturbedChoices]]:
    """Yield ``tries`` pairs: a random trial of ``members``, and a chooser with changed choices of this trial.

    One to three choices change: choices of the deployment if ``deployment_only`` or if nothing was trained, else
    choices of the training. Sometimes the deployment is first replaced by that of another trial on the Pareto front.
    """
    draw, known = random.Random(seed), history.view(TrainedChoices)
    for _ in range(POLICY.neighbors.tries if members else 0):
        member, other = draw.choice(members), draw.choice(history.front)
        choices = choices_of(member)
        trained = known.names(space, member)
        deployed = [name for name in choices if name not in trained]
        if other.params and draw.random() < POLICY.neighbors.crossover:
            theirs = known.names(space, other)
            choices = {name: value for name, value in choices.items() if name in trained}
            choices |= {name: value for name, value in choices_of(other).items() if name not in theirs}
        part = deployed if deployment_only or not trained else trained
        names = sorted(name for name in part if name in choices and name != "epochs")
        count = 1 + sum(draw.random() < chance for chance in POLICY.neighbors.more_changes)
        changed = frozenset(draw.sample(names, min(count, len(names))))
        yield member, PerturbedChoices(choices, changed, draw)
