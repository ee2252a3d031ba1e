"""Arms: the ways of finding the next candidate. The next to be used is the one that has paid most per second lately."""

from __future__ import annotations

import dataclasses
from collections import deque

from litetuner.search.neighbours import neighbour
from litetuner.search.plan import Proposal, recipe, variant
from litetuner.search.promotion import promotion
from litetuner.search.study import derive
from litetuner.search.told import Told
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import Space

ARMS = ("recipe", "promotion", "neighbour", "variant", "sampler")
PLAIN = ("recipe", "sampler")  # for samplers that are to be watched alone
FIRST = 4  # trials in that order, recipes first: without them there is nothing to vary or to promote
WINDOW = 8  # of an arm's trials; what it gave long ago says little of what it gives now
PATIENCE = 3 * len(ARMS)  # trials without an arm, then it is tried again
SHORTEST = 0.05  # seconds; a trial that was answered from the cache is not free of cost
PRIOR = 2.0  # trials of the run's average, which an arm starts from
KEPT = 0.2  # of what a promotion promises at best, so much is believed (eight searches: .12 of all, more of the first ones)


class Purse:
    """What the trials of each arm took and gave."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.gained = 0.0
        self.last: dict[str, deque[tuple[int, float, float]]] = {arm: deque(maxlen=WINDOW) for arm in ARMS}
        self.later: dict[int, float] = {}  # by number of the first trial of a training: what its variants added since
        self.lately: deque[str] = deque(maxlen=PATIENCE)  # the arms of the last trials
        self.repeated = False  # was the last one a repetition?
        self._first: dict[str, int] = {}

    def add(self, trial: Trial, gain: float) -> None:
        """See ``View.add``."""
        if trial.origin not in ARMS or trial.state is State.LOST:  # a killed search goes on as an undisturbed one
            return
        self.lately.append(trial.origin)
        self.repeated = trial.duplicate_of is not None
        if self.repeated:
            return
        seconds = max(SHORTEST, sum(trial.seconds.values()))
        self.count += 1
        self.seconds += seconds
        self.gained += gain
        self.last[trial.origin].append((trial.number, seconds, gain))
        prefix = trial.candidate.prefix
        if prefix.steps:
            first = self._first.setdefault(prefix.key, trial.number)
            if first != trial.number:
                self.later[first] = self.later.get(first, 0.0) + gain

    def worth(self, arm: str, promised: float = 0.0) -> float:
        """What an arm's last trials gave per second, with what their variants gave.

        It starts from the run's average, or from what is believed of a promise, where that is more.
        """
        believed = PRIOR * self.seconds / self.count
        gained = believed * max(self.gained / self.seconds, KEPT * promised, 1e-12)
        gained += sum(gain + self.later.get(number, 0.0) for number, _, gain in self.last[arm])
        return gained / (sum(seconds for _, seconds, _ in self.last[arm]) + believed)


def order(told: Told, space: Space, guided: bool) -> tuple[str, ...]:
    """The arms, the most promising first; ``guided`` is whether the sampler wants to be helped.

    An arm is worth what its last trials added to the hypervolume per second, and promotions also what the best one in
    ``space``, which is what can still be afforded, promises. One that was left out for long comes first.
    """
    if not guided:
        return PLAIN
    purse = told.view(Purse)
    if purse.count < FIRST:
        return ARMS
    left_out = set(ARMS) - set(purse.lately) if len(purse.lately) == PATIENCE else set()
    best = promotion(space, told)
    promised = {"promotion": best.promise} if best else {}
    # A sampler that has just repeated itself has nothing new to say.
    return tuple(
        sorted(
            ARMS,
            key=lambda arm: (
                purse.repeated and arm == "sampler",
                arm not in left_out,
                -purse.worth(arm, promised.get(arm, 0.0)),
            ),
        )
    )


def propose(arm: str, told: Told, space: Space, whole: Space, root: int, guided: bool) -> tuple[Proposal | None, Space]:
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
    if arm == "neighbour":
        return neighbour(short, told, seed, origin=arm), short
    if arm == "variant":  # its training is there, so time does not matter
        return variant(whole, told) or neighbour(whole, told, seed, origin=arm), whole
    return None, short if guided else space
