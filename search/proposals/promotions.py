"""Promotion: what was trained for a short time and stands well is trained for longer. Rungs for several objectives.

Optuna's own pruning knows one objective. Here a rung is a length of training, each of its candidates is a file that could
ship, and one goes up when its best hope is on the front: its size and latency, which training does not change, with
the lower end of its paired loss, less what longer trainings have been seen to bring back.
"""

from __future__ import annotations

import heapq
import math
import statistics

from litetuner.search.history import History
from litetuner.search.hypervolume import Growth
from litetuner.search.proposals.recipes import Proposal
from litetuner.search.trial import Trial
from litetuner.spaces.space import ScriptedChoices, Space

USUAL_SHARE = 0.3  # of a loss that the next length of training brings back, before this run has shown its own
USUAL_WEIGHT = 3  # promotions that this belief counts as
SMALL = 1e-3  # a smaller loss says nothing of shares
MENDABLE = ("max-drop", "min-metric")  # budgets that a longer training may yet keep


class Rungs:
    """The trials that a longer training could better, and what longer trainings have brought back."""

    def __init__(self) -> None:
        self.open: dict[int, Trial] = {}  # by number
        self.shares: list[float] = []
        self.best: dict[tuple[float, ...], Proposal | None] = {}  # by lengths: asked for twice on each turn
        # By number: no more than this it may add, as long as no more is brought back.
        self._hopes: dict[int, float] = {}
        self._share = 0.0  # that the hopes stand on
        self._shorter: dict[tuple[tuple[str, str], ...], float] = {}

    def add(self, trial: Trial, gain: float) -> None:
        """See ``View.add``."""
        self.best.clear()
        drop = trial.value("drop")
        if drop is None or "epochs" not in trial.params or trial.duplicate_of is not None:
            return
        alike = tuple(sorted((name, str(entry["chosen"])) for name, entry in trial.params.items() if name != "epochs"))
        before = self._shorter.get(alike)
        if trial.origin == "promotion" and before is not None and before > SMALL:
            self.shares.append(min(1.0, max(0.0, (before - drop) / before)))
        self._shorter[alike] = drop
        if trial.state.scored and all(value <= 0 or name in MENDABLE for name, value in trial.constraints.items()):
            self.open[trial.number] = trial
            self._hopes[trial.number] = math.inf

    def hopes(self, share: float) -> dict[int, float]:
        """By number, what each trial may add at most if a ``share`` of its loss is brought back; who adds nothing is left out."""
        if share > self._share:
            self._hopes = dict.fromkeys(self.open, math.inf)
        self._share = share
        return self._hopes

    def gain(self, number: int, growth: Growth) -> float:
        """What a trial would add to the front of now, at the better end of its interval. It never grows: the front does."""
        trial = self.open[number]
        drop = trial.measurements["drop"]
        low = drop.value if drop.interval is None else drop.interval[0]
        costs = growth.costs(trial, low - self._share * max(0.0, drop.value))
        self._hopes[number] = found = 0.0 if costs is None else growth.gain(costs)
        if not found:
            del self._hopes[number]
        return found


def promotion(space: Space, told: History) -> Proposal | None:
    """The trial whose longer training promises the most hypervolume per second, or ``None`` when none promises any."""
    if told.growth is None or not space.train:
        return None
    rungs = told.view(Rungs)
    if space.epochs not in rungs.best:
        rungs.best[space.epochs] = _best(space, told, rungs, told.growth)
    return rungs.best[space.epochs]


def _best(space: Space, told: History, rungs: Rungs, growth: Growth) -> Proposal | None:
    hopes = rungs.hopes(math.ceil(10 * brought_back(told)) / 10)  # in tenths, so that it seldom rises
    waiting: list[tuple[float, int, float, float]] = []  # a heap: what was hoped for is looked at again on its turn
    for number, hope in hopes.items():
        trial = rungs.open[number]
        longer = next((length for length in space.epochs if length > trial.params["epochs"]["chosen"]), None)
        known = None if longer is None else told.longer.get((number, longer))
        if longer is not None and not (known is not None and told.knows(known.key)):
            seconds = max(1.0, sum(trial.seconds.values()) * longer / trial.params["epochs"]["chosen"])
            waiting.append((-hope / seconds, number, seconds, longer))
    heapq.heapify(waiting)
    while waiting:
        _, number, seconds, longer = heapq.heappop(waiting)
        worth = rungs.gain(number, growth) / seconds
        if not worth:
            continue
        if waiting and -worth > waiting[0][0]:
            heapq.heappush(waiting, (-worth, number, seconds, longer))
            continue
        script = ScriptedChoices(
            {key: item["chosen"] for key, item in rungs.open[number].params.items()} | {"epochs": longer}
        )
        candidate = told.longer[number, longer] = space.suggest(script)
        if not told.knows(candidate.key):
            return Proposal(script, candidate, "promotion", promise=worth)
    return None


def brought_back(told: History) -> float:
    """The share of a loss that the next length of training brings back: the median of this run's promotions and a belief."""
    return statistics.median([USUAL_SHARE] * USUAL_WEIGHT + told.view(Rungs).shares)
