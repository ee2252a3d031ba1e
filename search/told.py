"""What was told so far: all trials by number and by candidate, their front, and what each added to it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from litetuner.search.budgets import Budget, allowed_loss
from litetuner.search.front import Objective, front
from litetuner.search.hypervolume import Growth
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate


class Told:
    """The trials of a run, indexed, so that an ask costs the same after a thousand as after ten.

    ``gains`` is what each trial added to the hypervolume over the baseline, in the order of ``trials``.
    """

    def __init__(
        self, trials: Sequence[Trial] = (), objectives: Sequence[Objective] = (), budgets: Sequence[Budget] = ()
    ) -> None:
        self.trials: list[Trial] = []
        self.gains: list[float] = []
        self.objectives = tuple(objectives)
        self.growth: Growth | None = None  # since the baseline was scored
        self.count = (
            0  # of trials with an answer, or that wait for a target: a killed search counts as an undisturbed one
        )
        self.longer: dict[tuple[int, float], Candidate] = {}  # of trial number and length: what a promotion would train
        self.deployed: set[int] = set()  # members of the front all of whose planned deployments are known
        self._allowed = allowed_loss(budgets)
        self._answers: dict[str, Trial] = {}
        self._waiting: set[str] = set()
        self._trained: set[str] = set()
        self.prefixes: dict[int, str] = {}  # by trial number: the key of what was trained, if anything
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Take in the next trial."""
        self.trials.append(trial)
        key = trial.candidate.key
        if trial.state is not State.LOST:
            if trial.duplicate_of is None:
                self._answers.setdefault(key, trial)
        elif trial.waits_for is not None:
            self._waiting.add(key)
        prefix = trial.candidate.prefix
        if prefix.steps:
            self.prefixes[trial.number] = prefix.key
        if trial.state.scored:
            self._trained.add(prefix.key)
        self.count += trial.state is not State.LOST or trial.waits_for is not None
        if self.growth is None and trial.untouched and trial.state.scored:
            self.growth = Growth(self.objectives, trial, self._allowed)
        self.gains.append(self.growth.add(trial) if self.growth else 0.0)
        self.__dict__.pop("front", None)

    def answer(self, key: str) -> Trial | None:
        """The trial that has answered a candidate, by its key."""
        return self._answers.get(key)

    def knows(self, key: str) -> bool:
        """Was this candidate answered, or does it wait for a target that is away?"""
        return key in self._answers or key in self._waiting

    def trained(self, prefix: Candidate) -> bool:
        """Was a candidate with this trained part scored?"""
        return prefix.key in self._trained

    @functools.cached_property
    def front(self) -> list[Trial]:
        """The feasible non-dominated trials, the first objective's best first."""
        return front(self.trials, self.objectives)
