"""The scheduler: the next strategy is the one that lately gained the most hypervolume per second."""

import math
from collections import deque

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals import allocations, baselines, deployments, neighbors, recipes, sampler
from litetuner.search.proposals.proposal import Proposal, Spaces, Strategy
from litetuner.search.proposals.seeds import derive
from litetuner.search.proposals.trainings import promotions
from litetuner.search.trial import State, Trial

# By the origin that records name; in the order of the first trials.
STRATEGIES: dict[str, Strategy] = {
    "allocation": allocations.propose,
    "recipe": recipes.propose,
    "promotion": promotions.propose,
    "neighbor": neighbors.propose,
    "variant": deployments.propose,
    "sampler": sampler.propose,
}
# For samplers that are to be compared on their own.
UNGUIDED: dict[str, Strategy] = {"recipe": recipes.propose, "sampler": sampler.propose_any_length}


class StrategyStatistics:
    """What the trials of each strategy cost and gained, and those of the run: the last ones count most."""

    def __init__(self) -> None:
        self.used = 0  # trials
        self.spent = 0.0  # seconds of all of them
        self.count = 0.0  # the same, discounted, and so are the next two
        self.seconds = 0.0
        self.gained = 0.0
        # By strategy: numbers, seconds and gains of its trials.
        self.trials: dict[str, list[tuple[int, float, float]]] = {name: [] for name in STRATEGIES}
        self.ended: dict[str, float] = {}  # by strategy: the seconds that had been spent when its last trial ended
        # By number of the first trial of a training: what its deployments gained since.
        self.later: dict[int, float] = {}
        self.recent: deque[str] = deque(maxlen=POLICY.scheduler.patience)  # the strategies of the last trials
        self.repeated = False  # was the last trial a repetition?
        self._first: dict[str, int] = {}

    def add(self, trial: Trial, gain: float) -> None:
        if trial.origin not in STRATEGIES or trial.state is State.LOST:  # a killed search resumes as if undisturbed
            return
        self.recent.append(trial.origin)
        self.repeated = trial.duplicate_of is not None
        if (
            self.repeated and not trial.seconds
        ):  # what was built to the same file as another took time and gained nothing
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
        """What a strategy's last trials and their deployments gained, beginning with what the next should, or a prior.

        A trial counts the less, the more seconds the strategy has spent since: so long and short trials are judged alike.
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
        """Has a strategy had no turn for long, and for long enough that another one takes a small share of the time?"""
        patience = POLICY.scheduler.patience
        if len(self.recent) < patience or name in self.recent:
            return False
        if name not in self.ended:
            return True
        return self.spent - self.ended[name] >= patience * self.trials[name][-1][1]


def order(history: History, spaces: Spaces) -> tuple[str, ...]:
    """The strategies, by hypervolume gained per second, from what a promotion or an allocation is expected to gain on.

    At first allocations and recipes take turns. One without a turn for long comes first, and before it an allocation that a
    budget of size lacks. A sampler that has just repeated itself comes last.
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
    """A baseline, else what the best strategy finds, if any; the sampler always does, alone if not ``guided``."""
    strategies = STRATEGIES if guided else UNGUIDED
    found = baselines.propose(history, spaces, seed)
    names = iter(order(history, spaces) if guided else UNGUIDED)
    while found is None:
        name = next(names)
        found = strategies[name](history, spaces, derive(seed, name, history.asked))
    return found
