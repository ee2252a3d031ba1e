"""Arms: the ways of finding the next candidate. The next to be used is the one that has paid most per second lately."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from litetuner.search.neighbours import neighbour
from litetuner.search.plan import Proposal, recipe, variant
from litetuner.search.promotion import promotion
from litetuner.search.study import derive
from litetuner.search.told import Told
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import Space

ARMS = ("recipe", "promotion", "neighbour", "variant", "sampler")
PLAIN = ("recipe", "sampler")  # for samplers that are to be watched alone
FIRST = 4  # recipes before anything else: without them there is nothing to vary or to promote
WINDOW = 8  # of an arm's trials; what it gave long ago says little of what it gives now
PATIENCE = 3 * len(ARMS)  # trials without an arm, then it is tried again
SHORTEST = 0.05  # seconds; a trial that was answered from the cache is not free of cost
PRIOR = 2.0  # trials of the run's average, which an arm starts from


def order(told: Told, guided: bool) -> tuple[str, ...]:
    """The arms, the most promising first; ``guided`` is whether the sampler wants to be helped.

    An arm is worth what its last trials added to the hypervolume per second, starting from the run's average.
    """
    if not guided:
        return PLAIN
    used = [
        (trial, gain)
        for trial, gain in zip(told.trials, told.gains, strict=True)
        if trial.origin in ARMS and trial.state is not State.LOST  # a killed search goes on as an undisturbed one
    ]
    if sum(trial.origin == "recipe" for trial, _ in used) < FIRST:
        return ARMS
    searched = [(trial, gain) for trial, gain in used if trial.duplicate_of is None]
    average = max(sum(gain for _, gain in searched) / sum(_seconds(trial) for trial, _ in searched), 1e-12)
    mean = sum(_seconds(trial) for trial, _ in searched) / len(searched)
    later = _by_variants(searched, told.prefixes)
    worth = {}
    for arm in ARMS:
        last = [(trial, gain) for trial, gain in searched if trial.origin == arm][-WINDOW:]
        gained = sum(gain + later.get(trial.number, 0.0) for trial, gain in last) + PRIOR * mean * average
        worth[arm] = gained / (sum(_seconds(trial) for trial, _ in last) + PRIOR * mean)
    lately = {trial.origin for trial, _ in used[-PATIENCE:]}
    repeated = bool(used) and used[-1][0].duplicate_of is not None  # then the sampler has nothing new to say
    ranked = sorted(ARMS, key=lambda arm: (repeated and arm == "sampler", arm in lately, -worth[arm]))
    return tuple(ranked)


def _by_variants(searched: Sequence[tuple[Trial, float]], prefixes: Mapping[int, str]) -> dict[int, float]:
    """What the variants of a training added, by the number of the trial that was the first with it: it has earned that too."""
    first: dict[str, int] = {}
    found: dict[int, float] = {}
    for trial, gain in searched:
        if trial.number in prefixes:
            number = first.setdefault(prefixes[trial.number], trial.number)
            if number != trial.number:
                found[number] = found.get(number, 0.0) + gain
    return found


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


def _seconds(trial: Trial) -> float:
    return max(SHORTEST, sum(trial.seconds.values()))
