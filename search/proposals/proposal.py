"""A proposal, the protocol that every strategy follows, and what several strategies share."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from litetuner.search.history import History
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import Chooser
from litetuner.spaces.space import ScriptedChoices, Space


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What to try next. Without a ``script`` Optuna's sampler chooses when the trial begins, and nobody knows it before."""

    origin: str  # as the trial's record names the strategy
    space: Space  # that the choices belong to
    script: Chooser | None = None  # the choices that lead to the candidate
    candidate: Candidate | None = None
    gain_per_second: float = 0.0  # the hypervolume that it is expected to add per second, where that is known


@dataclasses.dataclass(frozen=True)
class Spaces:
    """The space of a run: all of it, and what the time that is left can afford."""

    affordable: Space
    whole: Space

    @property
    def short(self) -> Space:
        """The affordable one with the shortest training: trainings begin short, and promotions make them longer."""
        return dataclasses.replace(self.affordable, epochs=self.affordable.epochs[:1])


class Strategy(Protocol):
    """One way to find the next candidate. It is a function: the same history, spaces and seed give the same proposal."""

    def __call__(self, history: History, spaces: Spaces, seed: int) -> Proposal | None:
        """A proposal that is new to the history (the sampler's may repeat one), or ``None`` where there is none."""


def first_new(proposals: Iterable[Proposal], history: History) -> Proposal | None:
    """The first proposal whose candidate has no answer yet."""
    return next((item for item in proposals if item.candidate is None or not history.knows(item.candidate.key)), None)


def choices_of(trial: Trial) -> dict[str, Any]:
    return {name: entry["chosen"] for name, entry in trial.params.items()}


def offers(space: Space, script: ScriptedChoices, others: Mapping[str, Any] | None = None) -> bool:
    """Does the space offer every choice of a script? A space without QAT has no QAT recipe. ``others`` are made as well."""
    recorded = RecordedChoices(ScriptedChoices({**(others or {}), **script.script}))
    space.suggest(recorded)
    if len(space.deployments()) == 1:  # then nobody is asked
        recorded.chosen.setdefault("deploy", space.deployments()[0])
    return all(recorded.chosen.get(name) == wanted for name, wanted in script.script.items() if isinstance(wanted, str))


@dataclasses.dataclass
class RecordedChoices:
    """A ``Chooser`` that asks another one and remembers what was chosen."""

    inner: Chooser
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.chosen[name] = self.inner.one_of(name, options)
        return str(self.chosen[name])

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.chosen[name] = self.inner.level(name, options)
        return self.chosen[name]
