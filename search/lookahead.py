"""Looking ahead: while one trial is converted, timed and scored, the next one's training begins in the background.

What is asked and told, and in which order, does not change: a training that was guessed right is there sooner, and one
that was guessed wrong waits in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from litetuner.search.evaluation.gates import Gate, probe_gate
from litetuner.search.evaluation.pipeline import Work
from litetuner.search.history import History
from litetuner.search.proposals.scheduler import propose
from litetuner.search.runtime.jobs import Job
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import LitetunerError
from litetuner.spaces.rules import broken_rules

if TYPE_CHECKING:
    from litetuner.search.loop import Loop

FARTHEST = 4  # candidates that are looked at for the next training
HORIZON = 2  # of these, so many may be probed: a probe takes seconds of the trial that runs


class Supposed(History):
    """What was told, and candidates that are supposed to be told next, whatever comes of them."""

    def __init__(self, told: History) -> None:
        self.__dict__ |= told.copy().__dict__
        self._supposed: set[str] = set()

    def suppose(self, candidate: Candidate) -> None:
        """Take a candidate for told."""
        self._supposed.add(candidate.key)
        self.count += 1

    def knows(self, key: str) -> bool:
        return key in self._supposed or super().knows(key)


class Ahead:
    """The look ahead of one loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._next: Candidate | None = None  # whom the background trains for

    def look(self, running: Candidate) -> None:
        """Have the next training begin, if one can be told; ``running`` is the candidate of the trial that runs.

        A training that is under way for a candidate that was not told yet stays.
        """
        loop = self._loop
        cache = loop.evaluator.cache
        if not cache.overlaps or loop.evaluator.baseline is None or loop.stop() is not None:
            return
        if self._next is not None and self._next != running and not loop.told.knows(self._next.key):
            job = self._missing(self._next)
            if job is not None:
                cache.prefetch(job)
                return
        for candidate in self._untrained(running):
            job = self._missing(candidate)
            if job is not None:
                self._next = candidate
                cache.prefetch(job)
                return

    def _missing(self, candidate: Candidate) -> Job | None:
        """The first training of a candidate that is not done."""
        evaluator = self._loop.evaluator
        found: list[str] = []
        for index in range(len(candidate.prefix.steps)):
            job = evaluator.train_job(candidate, index, list(found))
            stored = evaluator.cache.stored(job)
            if stored is None:
                return job
            found.append(stored.outputs["checkpoint"])
        return None

    def _untrained(self, running: Candidate) -> Iterator[Candidate]:
        """Candidates that will be asked for and need a training, the next one first; what a probe stops is left out."""
        loop = self._loop
        told = Supposed(loop.told)
        told.suppose(running)
        probed = 0
        for _ in range(FARTHEST):
            candidate = propose(told, loop.spaces(), loop.evaluator.config.seed, guided=loop.study.guided).candidate
            if candidate is None:  # what the sampler chooses cannot be known before it is asked
                return
            told.suppose(candidate)
            if self._missing(candidate) is None or broken_rules(candidate, loop.evaluator.around):
                continue
            if probed == HORIZON:
                return
            probed += 1
            if self._passes(candidate):
                yield candidate

    def _passes(self, candidate: Candidate) -> bool:
        """Would the probe let it through? Its jobs are the trial's own, which finds them in the cache."""
        work = Work(self._loop.evaluator, candidate)
        try:
            probe_gate(work)
        except (Gate, LitetunerError):  # its trial says why
            return False
        finally:
            self._loop.clock.count(work.known["seconds"])
        return True
