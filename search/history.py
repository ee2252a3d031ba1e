"""The history of a run: all trials by number and by candidate, their Pareto front, and the gain of each trial."""

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
    """Data that one strategy derives from the trials, updated trial by trial: a proposal need not read all trials."""

    def add(self, trial: Trial, gain: float) -> None:
        """Update the view with the next trial and its gain (``History.gains``)."""


V = TypeVar("V", bound=View)
T = TypeVar("T")


class History:
    """All trials of a run, with indexes: a proposal takes as long after a thousand trials as after ten.

    ``gains`` holds for each of ``trials`` how much it increased the hypervolume, with the baseline as reference. Until
    a trial is within all budgets, the gain includes how much closer this trial came to the budgets than all earlier
    ones, as a share of the baseline's distance. A candidate has a result if one of its trials ended and was not lost.
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
        self.growth: Growth | None = None  # ``None`` until the baseline is scored
        # Trials with a result or waiting for a target. Other lost trials do not count, so a resumed search is the same.
        self.count = 0
        self.allowed_drop = allowed_drop(budgets)  # exact once the baseline is scored
        self.budgets = tuple(budgets)
        self._nearest = self._farthest = 0.0  # distance to the budgets: the smallest of all trials, and the baseline's
        self._answers: dict[str, Trial] = {}  # by candidate key: the first trial with a result
        self._files: dict[str, int] = {}  # by sha256: number of the first scored trial with this file
        self._waiting: set[str] = set()  # keys of candidates that were lost because a target was unavailable
        self._running: Counter[str] = Counter()  # number of trials in flight, by candidate key
        self._trained: set[str] = set()  # keys of the prefixes of scored candidates
        self._begun: set[str] = set()  # keys of these prefixes and of their own prefixes, step by step
        self.lost: dict[str, Trial] = {}  # by candidate key: its last lost trial, if it has no result
        self._front: list[Trial] | None = []  # cached; ``None`` after a new trial
        self._views: dict[Callable[[], View], Any] = {}
        self.seconds = 0.0  # seconds of all trials
        self._seconds_per_epoch = seconds_per_epoch  # of plain training, measured before the first trial
        self._per_step: list[float] = []  # sorted; per trial: seconds of training / newly trained pipeline steps
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
        """Mark a candidate as in flight, so that it is not proposed again."""
        self._running[candidate.key] += 1

    def end(self, candidate: Candidate) -> None:
        """Mark a candidate as no longer in flight. Its trial must be added next."""
        self._running[candidate.key] -= 1

    def runs(self, key: str) -> bool:
        return self._running[key] > 0

    @property
    def asked(self) -> int:
        """``count`` plus the number of trials in flight. The seed of the next proposal depends on it."""
        return self.count + self._running.total()

    def _gain(self, trial: Trial) -> float:
        """The added hypervolume and, until a trial is feasible, the progress towards the budgets. See the class."""
        if self.growth is None:
            return 0.0
        gain = self.growth.add(trial)
        if self._nearest > 0 and trial.state.scored and trial.duplicate_of is None:
            nearest = min(self._nearest, distance(trial.constraints))
            gain += (self._nearest - nearest) / self._farthest
            self._nearest = nearest
        return gain

    def view(self, kind: Callable[[], V]) -> V:
        """The view of this kind. The first call builds it from all trials; ``add`` then keeps it up to date."""
        if kind not in self._views:
            self._views[kind] = found = kind()
            for trial, gain in zip(self.trials, self.gains, strict=True):
                found.add(trial, gain)
        made: V = self._views[kind]
        return made

    def copy(self, *views: Callable[[], View]) -> History:
        """An independent copy: changes to it do not affect this history. Immutable trials and candidates are shared.

        ``views`` are copied too. Other views are built again when they are needed.
        """
        made = _with_own_containers(self)
        made.growth = copy.copy(self.growth)
        made._views = {kind: _with_own_containers(self.view(kind)) for kind in views}
        return made

    def answer(self, key: str) -> Trial | None:
        """The first trial with a result for the candidate with this key, or ``None``."""
        return self._answers.get(key)

    def same_file(self, trial: Trial) -> int | None:
        """The number of the first scored trial whose file has the same bytes, or ``None``."""
        return self._files.get(trial.sha256) if trial.state.scored and trial.sha256 is not None else None

    def knows(self, key: str) -> bool:
        """True if this candidate has a result, is in flight, or waits for a target that is unavailable."""
        return key in self._answers or key in self._waiting or self.runs(key)

    def trained(self, prefix: Candidate) -> bool:
        """True if a candidate with this prefix (its trained steps) was scored."""
        return prefix.key in self._trained

    def training_seconds(self, candidate: Candidate) -> float:
        """Expected seconds of training: the median seconds of a step so far, times the steps not trained yet.

        Returns 0 if a step takes less than ``least_step_seconds`` (``NeighborPolicy``).
        """
        step = self._per_step[len(self._per_step) // 2] if self._per_step else self._usual_step(candidate)
        if step < POLICY.neighbors.least_step_seconds:
            return 0.0
        return step * len(candidate.beginnings - self._begun)

    def _usual_step(self, candidate: Candidate) -> float:
        """Expected seconds of one trained step before any was measured, from the seconds of plain training."""
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
