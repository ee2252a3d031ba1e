"""Promotions: what does well is trained, first for a short time, then for longer. Rungs for several objectives.

What was solved for without training is the lowest rung (``first_trainings.py``).
A rung is a length of training, its candidates files that could ship. One is promoted when its upper bound is on the
front: its size and latency, with the low end of its paired drop, less what longer trainings have recovered so far.
"""

import heapq
import math
import statistics

from litetuner.search.history import History
from litetuner.search.hypervolume import Growth
from litetuner.search.policy import POLICY
from litetuner.search.proposals import first_trainings
from litetuner.search.proposals.first_trainings import RECOVERABLE
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.space import ScriptedChoices, Space


class Rungs:
    """The trials that a longer training could improve, and what longer trainings have recovered."""

    def __init__(self) -> None:
        self.open: dict[int, Trial] = {}  # by number
        self.recovered: list[float] = []  # shares of accuracy drops
        self.longer: dict[tuple[int, float], Candidate] = {}  # by trial number and length: what would be trained
        self.best: dict[tuple[float, ...], Proposal | None] = {}  # by lengths: asked for twice on each turn
        self._bounds: dict[int, float] = {}  # by number: it gains no more, as long as no larger share is recovered
        self._share = 0.0  # that the bounds are computed with
        self._shorter: dict[tuple[tuple[str, str], ...], float] = {}

    def add(self, trial: Trial, gain: float) -> None:
        self.best.clear()
        drop = trial.value("drop")
        if drop is None or "epochs" not in trial.params or trial.duplicate_of is not None:
            return
        alike = tuple(sorted((name, str(value)) for name, value in choices_of(trial).items() if name != "epochs"))
        before = self._shorter.get(alike)
        if trial.origin == "promotion" and before is not None and before > POLICY.promotions.least_drop:
            self.recovered.append(min(1.0, max(0.0, (before - drop) / before)))
        self._shorter[alike] = drop
        broken = {name for name, value in trial.constraints.items() if value > 0}
        if trial.state.scored and broken <= set(RECOVERABLE):
            self.open[trial.number] = trial
            self._bounds[trial.number] = math.inf

    def upper_bounds(self, share: float) -> dict[int, float]:
        """By number, what each trial gains at most if a ``share`` of its drop is recovered, for those that may gain anything."""
        if share > self._share:
            self._bounds = dict.fromkeys(self.open, math.inf)
        self._share = share
        return self._bounds

    def update_bound(self, number: int, growth: Growth) -> float:
        """What a trial would add to the front of now, at the better end of its interval. It never grows: the front does."""
        drop = self.open[number].measurements["drop"]
        low = drop.value if drop.interval is None else drop.interval[0]
        costs = growth.costs(self.open[number].value, low - self._share * max(0.0, drop.value))
        self._bounds[number] = found = 0.0 if costs is None else growth.gain(costs)
        if not found:
            del self._bounds[number]
        return found


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The trial whose first or longer training may gain the most hypervolume per second, or ``None`` when none may gain any."""
    space = spaces.affordable
    if history.growth is None or not space.train:
        return None
    first = None
    if space.around.has_training_data and spaces.whole.epochs[0] in space.epochs:
        first = first_trainings.propose(history, spaces.short)
    longer = _longer(history, space)
    return max(filter(None, (longer, first)), key=lambda proposal: proposal.upper_bound, default=None)


def _longer(history: History, space: Space) -> Proposal | None:
    if history.growth is None:
        return None
    rungs = history.view(Rungs)
    best = rungs.best.get(space.epochs)
    answered = best is not None and best.candidate is not None and history.knows(best.candidate.key)
    if answered or space.epochs not in rungs.best:
        rungs.best[space.epochs] = best = _best(history, space, rungs, history.growth)
    return best


def recovered_share(history: History) -> float:
    """The share of a drop that the next length of training recovers: the median of this run's promotions and a prior."""
    numbers = POLICY.promotions
    return statistics.median([numbers.usual_recovery] * numbers.usual_recovery_weight + history.view(Rungs).recovered)


def _best(history: History, space: Space, rungs: Rungs, growth: Growth) -> Proposal | None:
    steps = POLICY.promotions.recovery_steps
    share = math.ceil(steps * recovered_share(history)) / steps  # rounded up, so that it seldom rises
    bounds = rungs.upper_bounds(share)
    waiting: list[tuple[float, int, float, float]] = []  # a heap: an upper bound is computed anew on its turn
    for number, bound in bounds.items():
        trial = rungs.open[number]
        epochs = trial.params["epochs"]["chosen"]
        longer = next((length for length in space.epochs if length > epochs), None)
        if longer is None:
            continue
        known = rungs.longer.get((number, longer))
        if known is None or not history.knows(known.key):
            seconds = max(POLICY.promotions.least_seconds, sum(trial.seconds.values()) * longer / epochs)
            waiting.append((-bound / seconds, number, seconds, longer))
    heapq.heapify(waiting)
    while waiting:
        _, number, seconds, longer = heapq.heappop(waiting)
        per_second = rungs.update_bound(number, growth) / seconds
        if not per_second:
            continue
        if waiting and -per_second > waiting[0][0]:
            heapq.heappush(waiting, (-per_second, number, seconds, longer))
            continue
        script = ScriptedChoices(choices_of(rungs.open[number]) | {"epochs": longer})
        candidate = rungs.longer[number, longer] = space.suggest(script)
        if not history.knows(candidate.key):
            return Proposal("promotion", space, script, candidate, upper_bound=per_second)
    return None
