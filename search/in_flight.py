"""The trials in flight: each is evaluated in its own thread, and only the thread of the loop calls ask and tell."""

import dataclasses
import queue
import time
from collections.abc import Mapping
from concurrent.futures import Future

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.evaluate import evaluate, trial_of
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.upper_bounds import Probed
from litetuner.search.history import History
from litetuner.search.listener import RunningTrial
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate

MOST_PER_SLOT = 2  # trials in flight per slot, including those that only wait for a job of another trial


class InFlight:
    """At most ``parallel`` trials run at the same time. A trial that waits for another trial's job does not count."""

    def __init__(self, services: Services, parallel: int) -> None:
        self._services = services
        self._parallel = parallel
        self._threads = Dispatcher("litetuner trials", MOST_PER_SLOT * parallel)
        self._asked: dict[int, tuple[Asked, Services, float]] = {}  # by trial number, with the start time
        self._ended: queue.SimpleQueue[tuple[Asked, Future[Trial]]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def full(self) -> bool:
        """True if no other trial may start now."""
        asked = list(self._asked.values())
        sharing = sum(
            services.log is not None and self._services.cache.shares(services.log) for _, services, _ in asked
        )
        return len(asked) - sharing >= self._parallel or len(asked) >= MOST_PER_SLOT * self._parallel

    @property
    def numbers(self) -> set[int]:
        return set(self._asked)

    @property
    def candidates(self) -> list[Candidate]:
        return [asked.candidate for asked, _, _ in self._asked.values()]

    def begin(self, asked: Asked, history: History, estimates: Mapping[str, Measurement]) -> None:
        """Start to evaluate a trial with the history as it is now; ``estimates`` become part of the trial's record.

        If several trials run at once, the evaluation uses a copy, because the history grows when other trials end.
        """
        known = history if self._parallel == 1 else history.copy(Probed)
        services = self._services.for_trial(asked.number)
        self._asked[asked.number] = asked, services, time.monotonic()

        def run() -> Trial:
            trial = trial_of(asked, evaluate(asked.candidate, services, known), services)
            return dataclasses.replace(trial, measurements={**trial.measurements, **estimates})

        self._threads.submit(run).add_done_callback(lambda found: self._ended.put((asked, found)))

    def next(self, seconds: float) -> tuple[Asked, Trial] | None:
        """Wait for a trial to end; ``None`` if none ends within ``seconds``. Raises what its evaluation raised."""
        try:
            asked, found = self._ended.get(timeout=seconds)
        except queue.Empty:
            return None
        del self._asked[asked.number]
        return asked, found.result()

    def now(self) -> tuple[RunningTrial, ...]:
        """What each trial in flight does now."""
        cache = self._services.cache
        found = []
        for number, (asked, services, since) in list(self._asked.items()):
            job, queued = cache.waits_for(services.log)
            found.append(RunningTrial(number, asked.candidate.label, job, round(since, 3), queued))
        return tuple(found)
