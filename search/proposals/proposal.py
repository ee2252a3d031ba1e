"""A proposal, the protocol of proposal strategies, and functions that several strategies share."""

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
    """The next candidate to try. Without a ``script``, Optuna's sampler chooses it when the trial begins."""

    origin: str  # name of the strategy in the trial's record
    space: Space  # the space from which the choices are made
    script: Chooser | None = None  # makes the choices that lead to the candidate
    candidate: Candidate | None = None  # ``None`` if the sampler chooses it later
    gain_per_second: float = 0.0  # expected gain of hypervolume per second; 0 if unknown


@dataclasses.dataclass(frozen=True)
class Spaces:
    """The ``whole`` space of a run, and the part of it that is ``affordable`` in the remaining time."""

    affordable: Space
    whole: Space

    @property
    def short(self) -> Space:
        """The affordable space with the shortest training only. Promotions train promising candidates for longer."""
        return dataclasses.replace(self.affordable, epochs=self.affordable.epochs[:1])


class Strategy(Protocol):
    """A way to find the next candidate. The same history, spaces and seed give the same proposal."""

    def __call__(self, history: History, spaces: Spaces, seed: int) -> Proposal | None:
        """A proposal that is new to the history, or ``None``. Only the sampler may repeat an earlier candidate."""


def first_new(proposals: Iterable[Proposal], history: History) -> Proposal | None:
    """The first proposal whose candidate is new to the history, or is not known yet; ``None`` if there is none."""
    return next((item for item in proposals if item.candidate is None or not history.knows(item.candidate.key)), None)


def choices_of(trial: Trial) -> dict[str, Any]:
    return {name: entry["chosen"] for name, entry in trial.params.items()}


def offers(space: Space, script: ScriptedChoices, others: Mapping[str, Any] | None = None) -> bool:
    """True if the space offers every categorical choice of a script, made together with the choices ``others``.

    For example, a space without QAT does not offer a QAT recipe.
    """
    recorded = RecordedChoices(ScriptedChoices({**(others or {}), **script.script}))
    space.suggest(recorded)
    if len(space.deployments()) == 1:  # then the space does not ask for this choice
        recorded.chosen.setdefault("deploy", space.deployments()[0])
    return all(recorded.chosen.get(name) == wanted for name, wanted in script.script.items() if isinstance(wanted, str))


@dataclasses.dataclass
class RecordedChoices:
    """A ``Chooser`` that asks another one and records its choices."""

    inner: Chooser
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.chosen[name] = self.inner.one_of(name, options)
        return str(self.chosen[name])

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.chosen[name] = self.inner.level(name, options)
        return self.chosen[name]
