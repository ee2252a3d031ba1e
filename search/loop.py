"""The loop of a search: ask for a trial, evaluate it, write its record, tell Optuna. Trials may run in parallel."""

import dataclasses
import itertools
import time
from collections.abc import Callable

from litetuner.search.clock import Clock, counted, left
from litetuner.search.config.units import BYTES, parse
from litetuner.search.evaluation.sensitivity import Ranking, rank_layers
from litetuner.search.evaluation.services import Services
from litetuner.search.history import History
from litetuner.search.in_flight import InFlight
from litetuner.search.listener import Listener, RunningTrial
from litetuner.search.policy import POLICY
from litetuner.search.proposals import deployments, retries
from litetuner.search.proposals.estimates.estimates import estimates
from litetuner.search.proposals.proposal import Proposal, Spaces
from litetuner.search.proposals.scheduler import propose
from litetuner.search.runs.optuna_study import Study
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.runtime.eviction import evict
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.machine import slowdown
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.errors import ConfigError, ModelError
from litetuner.spaces.space import Space

TRIALS_BETWEEN_EVICTIONS = 5
# A check takes longer as the cache grows, so later in a run the checks are ``number // EVICTIONS`` trials apart.
EVICTIONS = 50
LOOK_SECONDS = 0.2  # time between two checks of what the running trials do
NAP_SECONDS = 0.2  # while waiting for a target: time between two checks whether the search should stop


@dataclasses.dataclass
class Loop:
    """One session of a search. ``history`` has all trials of the run.

    ``stop`` is called between trials and returns the reason to stop, or ``None``. ``whole`` returns the space for a
    ranking of the layers; the ranking is empty until the baseline is scored.
    """

    services: Services
    study: Study
    history: History
    clock: Clock
    listener: Listener
    stop: Callable[[], str | None]
    whole: Callable[[Ranking], Space]
    earlier: tuple[Trial, ...] = ()  # trials of another run, which are tried first
    renewed: bool = False  # True: the objectives or budgets are new to the trials of this run
    accidents: int = 0  # accidents in a row that lost trials, in this session

    def __post_init__(self) -> None:
        self.space = self.whole(Ranking())
        self._ranked = False
        self._unknown = ""  # why the sensitivity of some layers was not measured
        self._in_flight = InFlight(self.services, self.services.config.parallel)
        self._struck: set[int] = set()  # numbers of the trials in flight at the last accident
        self._shown: tuple[RunningTrial, ...] = ()  # the running trials as the listener was last told

    def run(self) -> str:
        """Search until there is a reason to stop, and return it. Trials in flight are finished and told first."""
        while True:
            reason = self.stop() or self._spent()
            if reason and not self._in_flight:
                self._show(())
                self.listener.stopping(reason)
                return reason
            if not reason and self.baseline is not None and not self._ranked:
                self._rank()
                continue
            if not reason and self._may_begin():
                self.services.availability.look()
                if not self._stuck():
                    self._begin()
                    continue
                if not self._in_flight:
                    self._wait()
                    continue
            self._finish_one()

    def _may_begin(self) -> bool:
        """True if another trial may start. Not more than ``--trials`` in total are started.

        Until the baseline is scored, trials run one at a time, because all others are compared with it.
        """
        running, wanted = len(self._in_flight), self.services.config.trials
        if self._in_flight.full or (running and self.baseline is None):
            return False
        return wanted is None or counted(self.history.trials) + running < wanted

    def _begin(self) -> None:
        """Ask for a trial. A cached result is told at once; any other trial is in flight from now on."""
        with self.services.cache.computing():
            asked = self._ask()
            self.listener.doing(asked.candidate.label)
            known = self._answered(asked)
            if known is None:
                self.history.begin(asked.candidate)
                told = estimates(asked.candidate, self.history, self.space.statistics)
                self._in_flight.begin(asked, self.history, told)
                return
        self._tell(known)

    def _finish_one(self) -> None:
        """Wait until a trial in flight has ended, and tell it. Meanwhile the listener gets what the trials do.

        Returns early if another trial may start, because a trial in flight waits for another trial's job.
        """
        while (found := self._in_flight.next(LOOK_SECONDS)) is None:
            self._show(self._in_flight.now())
            if not self._in_flight.full:
                return
        asked, trial = found
        self.history.end(asked.candidate)
        known = self._answered(asked)  # an equal candidate in flight may have ended first
        # Different choices may lead to a file with the same bytes.
        self._tell(known or dataclasses.replace(trial, duplicate_of=self.history.same_file(trial)))

    def _show(self, trials: tuple[RunningTrial, ...]) -> None:
        if trials != self._shown:
            self._shown = trials
            self.listener.running(trials)

    @property
    def baseline(self) -> Trial | None:
        return find_baseline(self.history.trials)

    def _check_baseline(self, trial: Trial) -> None:
        """Raise ``ModelError`` if the baseline failed, ``ConfigError`` if it was lost and no time is left."""
        if trial.state is not State.LOST:
            raise ModelError(f"the baseline cannot be converted and scored: {trial.reason}")
        if self._left() <= 0:
            raise ConfigError(
                f"the time budget of {self.services.config.time_budget or '30m'} ended before the baseline was scored: "
                f"{trial.reason}. Give more time; if a metric of yours is scored, see whether it returns."
            )

    def _rank(self) -> None:
        """Rank the layers for the space. The baseline was scored first, so that an early stop leaves a result."""
        self.listener.doing("layer sensitivity to quantization")
        ranking = rank_layers(self.services)
        if ranking.unknown:
            self.listener.advised(f"{ranking.unknown}. They are ranked by their place in the network.")
        self._unknown = ranking.unknown
        self.space = self.whole(ranking)
        self._ranked = True

    def _stuck(self) -> bool:
        """True if a target is away, and the baseline or so many trials wait for it that no new trial should start."""
        if not self.services.availability.away:
            return False
        waits = retries.waiting(self.history.trials)
        return len(waits) >= POLICY.retries.most_waiting or any(trial.is_baseline for trial in waits)

    def _wait(self) -> None:
        """Sleep until the next check of a target that is away, or until the search should stop."""
        availability = self.services.availability
        seconds = availability.seconds_to_look
        self.listener.doing(f"waiting for {', '.join(availability.away)}, next look in {seconds:.0f} s")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stop() and not self._spent():
            time.sleep(min(NAP_SECONDS, max(0.0, deadline - time.monotonic())))

    def _redeployed(self) -> Proposal | None:
        """The next planned deployment of a trained member of the Pareto front, if objectives or budgets are new.

        After such a change these deployments come first, before anything else is trained.
        """
        if not self.renewed or self.baseline is None:
            return None
        planned = deployments.planned(self.history, self.space)
        self.renewed = planned is not None
        return planned

    def _ask(self) -> Asked:
        """Ask for a trial: new deployments, then lost trials, trials of an earlier run, and the proposal strategies."""
        spaces, away = self._spaces(), self.services.availability.away
        proposal = self._redeployed() or retries.propose(self.history, spaces.affordable, away)
        proposal = proposal or retries.from_earlier(self.history, spaces.whole, self.earlier)
        if proposal is None:
            proposal = propose(self.history, spaces, self.services.config.seed, guided=self.study.guided)
        suggest = proposal.space.suggest
        if proposal.script is not None:
            return self.study.enqueue(suggest, proposal.script, proposal.origin, proposal.candidate)
        at_random = self._repeats() >= POLICY.loop.repeats_before_random
        return self.study.ask(suggest, self.history.asked, at_random=at_random)

    def _spaces(self) -> Spaces:
        return Spaces(self.affordable(), self.space)

    def affordable(self) -> Space:
        """The space with only those lengths of training that fit in the time left; without training if none fits."""
        seconds, epoch = self._left(), self.services.inspection.seconds_per_epoch or 0.0
        pipeline, start = epoch * POLICY.loop.longest_pipeline, POLICY.loop.training_start_seconds
        config = self.services.config
        slower = 1.0 if EXECUTORS[config.executor].elsewhere else slowdown(config.parallel)
        needed = {level: (level * pipeline + start) * slower for level in self.space.epochs}
        affordable = tuple(level for level in needed if needed[level] < seconds)
        if not affordable:
            return dataclasses.replace(self.space, train=False)
        return dataclasses.replace(self.space, epochs=affordable)

    def _answered(self, asked: Asked) -> Trial | None:
        """The cached result of a candidate that was evaluated before, as a duplicate; else ``None``."""
        known = self.history.answer(asked.candidate.key)
        if known is None:
            return None
        asked_as = dataclasses.replace(known, number=asked.number, origin=asked.origin, params=asked.params)
        first = known.number if known.duplicate_of is None else known.duplicate_of
        return dataclasses.replace(asked_as, duplicate_of=first, seconds={})

    def _tell(self, trial: Trial) -> None:
        """Write the record to disk (synced) before Optuna is told, so that no result can be lost."""
        with self.services.cache.computing():
            self.clock.count(trial.seconds)
            trial = dataclasses.replace(trial, seconds_since_start=round(self.clock.wall, 3))
            self.study.settle()
            self.services.folder.write_trial(trial)
            self.study.tell(trial)
            self.history.add(trial)
            self._count_accidents(trial)
            self.clock.save()
            self.services.folder.note("told", trial=trial.number, label=trial.candidate.label, state=str(trial.state))
            self.listener.told(trial, self.history.trials, self._left())
            self._evict(trial.number)
        if trial.is_baseline and not trial.state.scored and self.baseline is None:
            self._check_baseline(trial)

    def _count_accidents(self, trial: Trial) -> None:
        """Count the accidents in a row. One accident may lose all trials in flight, and still counts once."""
        if trial.state is not State.LOST:
            self.accidents = 0
        elif trial.waits_for is None and trial.number not in self._struck:
            self.accidents += 1
            self._struck = self._in_flight.numbers

    def _evict(self, number: int) -> None:
        if number % max(TRIALS_BETWEEN_EVICTIONS, number // EVICTIONS) == 0:
            limit = parse(self.services.config.cache_limit, BYTES, "cache-limit")
            needed = [trial.candidate for trial in self.history.front] + self._in_flight.candidates
            evict(self.services, needed, limit)

    def _spent(self) -> str | None:
        config, trials = self.services.config, self.history.trials
        if config.trials is not None and counted(trials) >= config.trials:
            return f"all {config.trials} trials are done"
        if self._left() <= 0 and self.baseline is not None:
            return f"the time budget of {config.time_budget or '30m'} is used up"
        if config.until_met and (met := self._met()) is not None:
            return f"trial {met.number} is within all budgets"
        if config.patience is not None and self._stagnant(config.patience):
            return f"the last {config.patience} trials did not enlarge the front"
        if self._repeats() >= POLICY.loop.repeats_before_end:
            why = self._unknown or "the space that is left is exhausted"
            return f"nothing new is proposed any more: {why}"
        if (gone := self._gone()) is not None:
            return gone
        if self.accidents < POLICY.loop.losses_before_end:
            return None
        return f"trials were lost {self.accidents} times in a row ({trials[-1].reason})"

    def _gone(self) -> str | None:
        """Why the search ends if a target does not answer any more and too many trials wait for it; else ``None``."""
        gone = self.services.availability.hopeless
        if gone is None or not self._stuck():
            return None
        reason, count = self.services.availability.away[gone], len(retries.waiting(self.history.trials))
        trials = "1 trial waits" if count == 1 else f"{count} trials wait"
        return f"the target {gone} is gone, and {trials} for it ({reason}). Repeat the command when it answers"

    def _met(self) -> Trial | None:
        trials = self.history.trials
        return next((trial for trial in trials if trial.state is State.COMPLETE and not trial.is_baseline), None)

    def _stagnant(self, patience: int) -> bool:
        """True if ``patience`` trials or more were told since the Pareto front last grew.

        The newest member of the front is the trial that last increased its hypervolume.
        """
        newest = max((trial.number for trial in self.history.front), default=-1)
        since = counted([trial for trial in self.history.trials if trial.number > newest])
        return bool(self.history.front) and since >= patience

    def _left(self) -> float:
        """Seconds left for trials: what is left of the time budget without the share for the finals."""
        limit = self.services.config.seconds
        return left(None if limit is None else limit * (1 - POLICY.loop.finals_share), self.clock)

    def _repeats(self) -> int:
        """How many of the last trials in a row were duplicates."""
        repeated = itertools.takewhile(lambda trial: trial.duplicate_of is not None, reversed(self.history.trials))
        return len(list(repeated))
