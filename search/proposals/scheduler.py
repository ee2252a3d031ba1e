"""The scheduler: the strategy that recently gained the most hypervolume per second proposes next."""

import math
from collections import deque

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals import allocations, baselines, deployments, neighbors, recipes, sampler
from litetuner.search.proposals.proposal import Proposal, Spaces, Strategy
from litetuner.search.proposals.seeds import derive
from litetuner.search.proposals.trainings import promotions
from litetuner.search.trial import State, Trial

# By the trial's origin in records, in the order of the first trials.
STRATEGIES: dict[str, Strategy] = {
    "allocation": allocations.propose,
    "recipe": recipes.propose,
    "promotion": promotions.propose,
    "neighbor": neighbors.propose,
    "variant": deployments.propose,
    "sampler": sampler.propose,
}
# For the comparison of samplers without other strategies.
UNGUIDED: dict[str, Strategy] = {"recipe": recipes.propose, "sampler": sampler.propose_any_length}


class StrategyStatistics:
    """Seconds and gains of the trials of each strategy, and of the run. Recent trials have the largest weight."""

    def __init__(self) -> None:
        self.used = 0  # number of trials
        self.spent = 0.0  # seconds of all trials
        self.count = 0.0  # number of trials, discounted (``run_discount``)
        self.seconds = 0.0  # seconds of all trials, discounted
        self.gained = 0.0  # gains of all trials, discounted
        # By strategy: number, seconds and gain of each of its trials.
        self.trials: dict[str, list[tuple[int, float, float]]] = {name: [] for name in STRATEGIES}
        self.ended: dict[str, float] = {}  # by strategy: ``spent`` at the end of its last trial
        # By number of the first trial with a trained prefix: the gains of later trials with the same prefix.
        self.later: dict[int, float] = {}
        self.recent: deque[str] = deque(maxlen=POLICY.scheduler.patience)  # the strategies of the last trials
        self.repeated = False  # True if the last trial was a duplicate
        self._first: dict[str, int] = {}  # by key of a trained prefix: number of its first trial

    def add(self, trial: Trial, gain: float) -> None:
        if trial.origin not in STRATEGIES or trial.state is State.LOST:  # so a killed search resumes the same
            return
        self.recent.append(trial.origin)
        self.repeated = trial.duplicate_of is not None
        # A cached result took no time. A new file with the same bytes as an earlier one took time and gained nothing.
        if self.repeated and not trial.seconds:
            return
        numbers = POLICY.scheduler
        seconds = max(numbers.least_seconds, sum(trial.seconds.values()))
        self.used += 1
        self.spent += seconds
        self.count = numbers.run_discount * self.count + 1
        self.seconds = numbers.run_discount * self.seconds + seconds
        self.gained = numbers.run_discount * self.gained + gain
        self.trials[trial.origin].append((trial.number, seconds, gain))
        self.ended[trial.origin] = self.spent
        prefix = trial.candidate.prefix
        if prefix.steps:
            first = self._first.setdefault(prefix.key, trial.number)
            if first != trial.number:
                self.later[first] = self.later.get(first, 0.0) + gain

    def gain_per_second(self, name: str, expected: float | None = None) -> float:
        """Hypervolume per second of a strategy: a weighted mean over its recent trials and their later deployments.

        It starts from ``expected``, the expected gain per second of its next trial, or from a prior if it is ``None``.
        The weight of a trial decreases with the seconds that its strategy used afterwards, so that strategies with long
        and with short trials are compared fairly.
        """
        numbers = POLICY.scheduler
        seconds = numbers.prior_trials * self.seconds / self.count
        if expected is None:
            expected = numbers.prior[name] * self.gained / self.seconds
        gained = seconds * max(expected, numbers.least_gain)
        since, trials = 0.0, self.trials[name]
        memory = max(numbers.memory * self.spent, numbers.memory_trials * trials[-1][1]) if trials else 1.0
        for number, took, gain in reversed(trials):
            weight = math.exp(-since / memory)
            if weight < numbers.least_weight:
                break
            seconds += weight * took
            gained += weight * (gain + self.later.get(number, 0.0))
            since += took
        return gained / seconds

    def neglected(self, name: str) -> bool:
        """True if a strategy had no turn for ``patience`` trials, and its last trial was short compared to them.

        Its last trial must have used at most 1 / ``patience`` of the seconds since then.
        """
        patience = POLICY.scheduler.patience
        if len(self.recent) < patience or name in self.recent:
            return False
        if name not in self.ended:
            return True
        return self.spent - self.ended[name] >= patience * self.trials[name][-1][1]


def order(history: History, spaces: Spaces) -> tuple[str, ...]:
    """The names of the strategies, the highest gain of hypervolume per second first.

    For promotions and allocations, the expected gain of the next proposal is included. In the first trials, allocations
    and recipes take turns. Later, an allocation that is missing for a size budget comes first, then strategies that had
    no turn for long. The sampler comes last if the last trial was a duplicate.
    """
    known = history.view(StrategyStatistics)
    if known.used < POLICY.scheduler.first_trials:
        last = known.recent[-1] if known.recent else ""
        return tuple(sorted(STRATEGIES, key=lambda name: name == last == "allocation"))
    best = {"promotion": promotions.propose(history, spaces, 0), "allocation": allocations.best(history, spaces)}
    expected = {name: proposal.gain_per_second for name, proposal in best.items() if proposal}

    def rank(name: str) -> tuple[bool, bool, float]:
        return (
            known.repeated and name == "sampler",
            not known.neglected(name),
            -known.gain_per_second(name, expected.get(name)),
        )

    names = sorted(STRATEGIES, key=rank)
    return tuple(sorted(names, key=lambda name: name != "allocation") if allocations.owed(history, spaces) else names)


def propose(history: History, spaces: Spaces, seed: int, *, guided: bool) -> Proposal:
    """A baseline, else the proposal of the first strategy in ``order`` that has one; the sampler always has one.

    Without ``guided``, only recipes and the sampler propose, in this order.
    """
    strategies = STRATEGIES if guided else UNGUIDED
    found = baselines.propose(history, spaces, seed)
    names = iter(order(history, spaces) if guided else UNGUIDED)
    while found is None:
        name = next(names)
        found = strategies[name](history, spaces, derive(seed, name, history.asked))
    return found
