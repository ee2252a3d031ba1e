"""Arms: the ways of finding the next candidate. The next to be used is the one that has paid most per second lately."""

from __future__ import annotations

import dataclasses
from collections import deque

from litetuner.search.history import History
from litetuner.search.proposals.neighbors import neighbor
from litetuner.search.proposals.promotions import promotion
from litetuner.search.proposals.recipes import Proposal, recipe, variant
from litetuner.search.runs.study import derive
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import Space

STRATEGIES = ("recipe", "promotion", "neighbor", "variant", "sampler")
PLAIN = ("recipe", "sampler")  # for samplers that are to be watched alone
FIRST = 4  # trials in that order, recipes first: without them there is nothing to vary or to promote
WINDOW = 8  # of an arm's trials, and each counts less than the one after it:
FADING = 0.7  # what an arm gave before says little of what it gives now
LASTING = 0.9  # the same for the run
PATIENCE = 5 * len(STRATEGIES)  # trials without an arm, then it is tried again
SHORTEST = 0.05  # seconds; a trial that was answered from the cache is not free of cost
PRIOR = 2.0  # trials that the belief in an arm counts as
# What is believed of an arm before it was used, in shares of what the run gives. Eight searches gave, per 1,000 s and in
# this order, .77, .47, .01, .12 and .01 of the hypervolume (docs/decisions.md).
BELIEF = {"recipe": 1.0, "promotion": 1.0, "neighbor": 0.1, "variant": 0.25, "sampler": 0.1}
KEPT = 0.2  # of what a promotion promises at best, so much is believed (eight searches: .12 of all, more of the first ones)


class StrategyStatistics:
    """What the trials of each arm took and gave, and those of the run: the last ones count most."""

    def __init__(self) -> None:
        self.used = 0  # trials
        self.count = 0.0  # the same, faded, and so are the next two
        self.seconds = 0.0
        self.gained = 0.0
        self.last: dict[str, deque[tuple[int, float, float]]] = {arm: deque(maxlen=WINDOW) for arm in STRATEGIES}
        self.later: dict[int, float] = {}  # by number of the first trial of a training: what its variants added since
        self.lately: deque[str] = deque(maxlen=PATIENCE)  # the arms of the last trials
        self.repeated = False  # was the last one a repetition?
        self._first: dict[str, int] = {}

    def add(self, trial: Trial, gain: float) -> None:
        """See ``View.add``."""
        if trial.origin not in STRATEGIES or trial.state is State.LOST:  # a killed search goes on as an undisturbed one
            return
        self.lately.append(trial.origin)
        self.repeated = trial.duplicate_of is not None
        if self.repeated:
            return
        seconds = max(SHORTEST, sum(trial.seconds.values()))
        self.used += 1
        self.count = LASTING * self.count + 1
        self.seconds = LASTING * self.seconds + seconds
        self.gained = LASTING * self.gained + gain
        self.last[trial.origin].append((trial.number, seconds, gain))
        prefix = trial.candidate.prefix
        if prefix.steps:
            first = self._first.setdefault(prefix.key, trial.number)
            if first != trial.number:
                self.later[first] = self.later.get(first, 0.0) + gain

    def worth(self, arm: str, promised: float = 0.0) -> float:
        """What an arm's last trials gave per second, with what their variants gave.

        It starts from what is believed of the arm, or of a promise, where that is more.
        """
        seconds = PRIOR * self.seconds / self.count
        gained = seconds * max(BELIEF[arm] * self.gained / self.seconds, KEPT * promised, 1e-12)
        for age, (number, took, gain) in enumerate(reversed(self.last[arm])):
            seconds += FADING**age * took
            gained += FADING**age * (gain + self.later.get(number, 0.0))
        return gained / seconds


def order(told: History, space: Space, guided: bool) -> tuple[str, ...]:
    """The arms, the most promising first; ``guided`` is whether the sampler wants to be helped.

    An arm is worth what its last trials added to the hypervolume per second, and promotions also what the best one in
    ``space``, which is what can still be afforded, promises. One that was left out for long comes first.
    """
    if not guided:
        return PLAIN
    purse = told.view(StrategyStatistics)
    if purse.used < FIRST:
        return STRATEGIES
    left_out = set(STRATEGIES) - set(purse.lately) if len(purse.lately) == PATIENCE else set()
    best = promotion(space, told)
    promised = {"promotion": best.promise} if best else {}
    # A sampler that has just repeated itself has nothing new to say.
    return tuple(
        sorted(
            STRATEGIES,
            key=lambda arm: (
                purse.repeated and arm == "sampler",
                arm not in left_out,
                -purse.worth(arm, promised.get(arm, 0.0)),
            ),
        )
    )


def propose(
    arm: str, told: History, space: Space, whole: Space, root: int, guided: bool
) -> tuple[Proposal | None, Space]:
    """What an arm proposes, and the space that its choices are of. The sampler's proposal is not known before it is asked.

    ``space`` is what can still be afforded of the ``whole``; ``root`` is the run's seed. Trainings begin short, and
    promotions make them longer.
    """
    short = dataclasses.replace(space, epochs=space.epochs[:1])
    seed = derive(root, arm, told.count)
    if arm == "recipe":
        return recipe(space, told, whole.epochs[0]), space
    if arm == "promotion":
        return promotion(space, told), space
    if arm == "neighbor":
        return neighbor(short, told, seed, origin=arm), short
    if arm == "variant":  # its training is there, so time does not matter
        return variant(whole, told) or neighbor(whole, told, seed, origin=arm), whole
    return None, short if guided else space
