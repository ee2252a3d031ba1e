"""Looking ahead: while one trial is converted, timed and scored, the next one's training begins in the background.

What is asked and told, and in which order, does not change: a training that was guessed right is there sooner, and one
that was guessed wrong waits in the cache.
"""

import itertools
from collections.abc import Iterator

from litetuner.search.clock import Clock
from litetuner.search.evaluation.candidate_jobs import missing_training
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.probe import probe
from litetuner.search.evaluation.services import Services
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.proposal import Spaces
from litetuner.search.proposals.scheduler import propose
from litetuner.search.trial import find_baseline
from litetuner.spaces.building.jobs import TrainJob
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import LitetunerError
from litetuner.spaces.rules import broken_rules


class ExpectedHistory(History):
    """A copy of the history, and candidates that are expected next: the real one must not learn of what is only expected."""

    def __init__(self, history: History) -> None:
        self.__dict__ |= history.copy().__dict__
        self._expected: set[str] = set()

    def expect(self, candidate: Candidate) -> None:
        """Take a candidate for completed."""
        self._expected.add(candidate.key)
        self.count += 1

    def knows(self, key: str) -> bool:
        return key in self._expected or super().knows(key)


class Lookahead:
    """Trains for the candidates to come. Nothing of it is needed for a result."""

    def __init__(self, services: Services, clock: Clock, *, guided: bool) -> None:
        self._services = services
        self._clock = clock
        self._guided = guided
        self._next: Candidate | None = None  # whom the background trains for

    def begin(self, running: Candidate, history: History, spaces: Spaces) -> None:
        """Have the next training begin, if one can be told. One for a candidate that is not completed yet stays."""
        cache = self._services.cache
        if not cache.overlaps or find_baseline(history.trials) is None:
            return
        stays = self._next is not None and self._next != running and not history.knows(self._next.key)
        begun = [self._next] if self._next is not None and stays else []
        for candidate in itertools.chain(begun, self._untrained(running, history, spaces)):
            job = self._missing(candidate)
            if job is not None:
                self._next = candidate
                cache.prefetch(job)
                return

    def _missing(self, candidate: Candidate) -> TrainJob | None:
        return missing_training(self._services, candidate)[0]

    def _untrained(self, running: Candidate, history: History, spaces: Spaces) -> Iterator[Candidate]:
        """Candidates that will be asked for and need a training, the next one first; what a probe stops is left out."""
        expected = ExpectedHistory(history)
        expected.expect(running)
        probed = 0
        for _ in range(POLICY.lookahead.farthest):
            candidate = propose(expected, spaces, self._services.config.seed, guided=self._guided).candidate
            if candidate is None:  # what the sampler chooses cannot be known before it is asked
                return
            expected.expect(candidate)
            if self._missing(candidate) is None or broken_rules(candidate, self._services.constraints):
                continue
            if probed == POLICY.lookahead.horizon:
                return
            probed += 1
            if self._passes(candidate, history):
                yield candidate

    def _passes(self, candidate: Candidate, history: History) -> bool:
        """Would the probe let it through? Its jobs are the trial's own, which finds them in the cache."""
        try:
            measured = probe(candidate, self._services, history, Measured())
        except Stopped as stop:  # its trial says why
            self._clock.count(stop.measured.seconds)
            return False
        except LitetunerError:
            return False
        self._clock.count(measured.seconds)
        return True
