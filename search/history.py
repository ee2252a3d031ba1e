"""The history of a run: all trials by number and by candidate, their Pareto front, and what each gained."""

from __future__ import annotations

import bisect
import copy
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from litetuner.search.config.budgets import Budget, allowed_drop, distance
from litetuner.search.front import Objective, front
from litetuner.search.hypervolume import Growth
from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate


class View(Protocol):
    """What one strategy keeps of the trials, so that a proposal need not read them all."""

    def add(self, trial: Trial, gain: float) -> None:
        """Take in the next trial, which added ``gain`` to the hypervolume."""


V = TypeVar("V", bound=View)
T = TypeVar("T")


class History:
    """The trials of a run, indexed, so that a proposal costs the same after a thousand trials as after ten.

    ``gains`` is what each of ``trials`` added to the hypervolume over the baseline, and until one is within all budgets
    how much nearer to them each came, in units of the baseline's distance.
    """

    def __init__(
        self,
        trials: Sequence[Trial] = (),
        objectives: Sequence[Objective] = (),
        budgets: Sequence[Budget] = (),
        seconds_per_epoch: float = 0.0,
    ) -> None:
        self.trials: list[Trial] = []
        self.gains: list[float] = []
        self.objectives = tuple(objectives)
        self.growth: Growth | None = None  # since the baseline was scored
        # Trials with an answer, or that wait for a target: a killed search counts as an undisturbed one.
        self.count = 0
        self.allowed_drop = allowed_drop(budgets)  # of the accuracy; exact once the baseline was scored
        self.budgets = tuple(budgets)
        self._nearest = self._farthest = 0.0  # distance to the budgets: the smallest of all trials, and the baseline's
        self._answers: dict[str, Trial] = {}
        self._files: dict[str, int] = {}  # by sha256: the first trial that was scored with this file
        self._waiting: set[str] = set()
        self._running: Counter[str] = Counter()  # candidates in flight, by key
        self._trained: set[str] = set()
        self._begun: set[str] = set()  # what was trained, and all that it was built on
        self.lost: dict[str, Trial] = {}  # by key: the last loss of each candidate without an answer
        self._front: list[Trial] | None = []  # until the next trial
        self._views: dict[Callable[[], View], Any] = {}
        self.seconds = 0.0  # that all trials took
        self._seconds_per_epoch = seconds_per_epoch  # of plain training, as it was timed before the first trial
        self._per_step: list[float] = []  # seconds of training for each step, a trial each; in order of size
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.seconds += sum(trial.seconds.values())
        key = trial.candidate.key
        if trial.state is not State.LOST:
            self._answers.setdefault(key, trial)
            if trial.state.scored and trial.duplicate_of is None and trial.sha256 is not None:
                self._files.setdefault(trial.sha256, trial.number)
            self.lost.pop(key, None)
        else:
            if trial.waits_for is not None:
                self._waiting.add(key)
            if key not in self._answers:
                self.lost[key] = trial
        prefix = trial.candidate.prefix
        if trial.state.scored:
            beginnings = trial.candidate.beginnings
            fresh = len(beginnings - self._begun)
            if fresh and trial.seconds.get("train"):
                bisect.insort(self._per_step, trial.seconds["train"] / fresh)
            self._begun |= beginnings
            self._trained.add(prefix.key)
        self.count += trial.state is not State.LOST or trial.waits_for is not None
        if self.growth is None and trial.is_baseline and trial.state.scored:
            self.allowed_drop = allowed_drop(self.budgets, trial.measurements)
            self.growth = Growth(self.objectives, trial, self.allowed_drop)
            self._nearest = self._farthest = distance(trial.constraints)
        self.gains.append(self._gain(trial))
        self._front = None
        for view in self._views.values():
            view.add(trial, self.gains[-1])

    def begin(self, candidate: Candidate) -> None:
        """A candidate is in flight from now on: it is not proposed again."""
        self._running[candidate.key] += 1

    def end(self, candidate: Candidate) -> None:
        """It has ended; its trial is added next."""
        self._running[candidate.key] -= 1

    def runs(self, key: str) -> bool:
        return self._running[key] > 0

    @property
    def asked(self) -> int:
        """``count`` and the candidates in flight: what the seed of the next proposal is made of."""
        return self.count + self._running.total()

    def _gain(self, trial: Trial) -> float:
        """What the strategies are compared by: hypervolume, and until something is feasible the way to the budgets."""
        if self.growth is None:
            return 0.0
        gain = self.growth.add(trial)
        if self._nearest > 0 and trial.state.scored and trial.duplicate_of is None:
            nearest = min(self._nearest, distance(trial.constraints))
            gain += (self._nearest - nearest) / self._farthest
            self._nearest = nearest
        return gain

    def view(self, kind: Callable[[], V]) -> V:
        """A view that was made of all trials, and is kept up to date from now on."""
        if kind not in self._views:
            self._views[kind] = found = kind()
            for trial, gain in zip(self.trials, self.gains, strict=True):
                found.add(trial, gain)
        made: V = self._views[kind]
        return made

    def copy(self, *views: Callable[[], View]) -> History:
        """A history to add to and to ask, without a trace in this one. Trials and candidates are shared: they never change.

        ``views`` are copied too, others are made anew when they are asked for.
        """
        made = _with_own_containers(self)
        made.growth = copy.copy(self.growth)
        made._views = {kind: _with_own_containers(self.view(kind)) for kind in views}
        return made

    def answer(self, key: str) -> Trial | None:
        """The trial that has answered a candidate, by its key."""
        return self._answers.get(key)

    def same_file(self, trial: Trial) -> int | None:
        """The number of an earlier trial whose file has the same bytes."""
        return self._files.get(trial.sha256) if trial.state.scored and trial.sha256 is not None else None

    def knows(self, key: str) -> bool:
        """Does this candidate have an answer, is it in flight, or does it wait for a target that is away?"""
        return key in self._answers or key in self._waiting or self.runs(key)

    def trained(self, prefix: Candidate) -> bool:
        """Was a candidate with this trained part scored?"""
        return prefix.key in self._trained

    def training_seconds(self, candidate: Candidate) -> float:
        """Seconds that a candidate's training should take: the median of a step so far, for each step without a checkpoint."""
        step = self._per_step[len(self._per_step) // 2] if self._per_step else self._usual_step(candidate)
        if step < POLICY.neighbors.least_step_seconds:
            return 0.0
        return step * len(candidate.beginnings - self._begun)

    def _usual_step(self, candidate: Candidate) -> float:
        """Seconds of a training step, by the seconds of plain training, before any has ended."""
        epochs = [float(step.knobs()["epochs"]) for step in candidate.prefix.steps if "epochs" in step.knobs()]
        if not (self._seconds_per_epoch and epochs):
            return 0.0
        numbers = POLICY.loop
        return numbers.usual_step * self._seconds_per_epoch * min(epochs) + numbers.training_start_seconds

    @property
    def front(self) -> list[Trial]:
        if self._front is None:
            self._front = front(self.trials, self.objectives)
        return self._front


def _with_own_containers(item: T) -> T:
    made = copy.copy(item)
    made.__dict__.update({name: _own(value) for name, value in vars(item).items()})
    return made


def _own(value: Any) -> Any:
    if not isinstance(value, list | dict | set | deque):
        return value
    made = copy.copy(value)
    if isinstance(made, dict) and isinstance(next(iter(made.values()), None), list):
        made.update({key: copy.copy(item) for key, item in made.items()})
    return made
