"""Promotions: promising trials are trained, first for a short time, then for longer (rungs for several objectives).

A rung is a length of training. Each of its trials has a file that could be shipped. The lowest rung has the files that
were reconstructed without training (``first_trainings.py``). The trial with the highest expected gain of hypervolume
per second is promoted. Its size and latency are assumed to stay the same. Its expected drop follows from earlier
trainings (``outcomes.py``).
"""

import heapq
import math

from litetuner.search.config.budgets import ACCURACY_BUDGETS
from litetuner.search.history import History
from litetuner.search.hypervolume import Growth
from litetuner.search.policy import POLICY
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of
from litetuner.search.proposals.trainings import first_trainings
from litetuner.search.proposals.trainings.outcomes import Outcomes
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.space import ScriptedChoices, Space


class Rungs:
    """The trials that a longer training could improve, and the accuracy drops before and after longer trainings."""

    def __init__(self) -> None:
        self.open: dict[int, Trial] = {}  # trials that may be trained for longer, by number
        self.ended: list[tuple[float, float]] = []  # drops before and after longer trainings
        self.longer: dict[tuple[int, float], Candidate] = {}  # by trial number and length: the candidate to train
        self.best: dict[tuple[float, ...], Proposal | None] = {}  # by lengths; cached, as each proposal needs it twice
        # By trial number: upper bounds of the expected gains, since gains only decrease while the front grows and the
        # outcomes stay the same.
        self._gains: dict[int, float] = {}
        self._outcomes: Outcomes | None = None  # the outcomes that ``_gains`` were computed with
        self._shorter: dict[tuple[tuple[str, str], ...], float] = {}  # by choices without the length: the last drop

    def add(self, trial: Trial, gain: float) -> None:
        self.best.clear()
        drop = trial.value("drop")
        if drop is None or "epochs" not in trial.params or trial.duplicate_of is not None:
            return
        alike = tuple(sorted((name, str(value)) for name, value in choices_of(trial).items() if name != "epochs"))
        before = self._shorter.get(alike)
        if trial.origin == "promotion" and before is not None:
            self.ended.append((before, drop))
        self._shorter[alike] = drop
        broken = {name for name, value in trial.constraints.items() if value > 0}
        if trial.state.scored and broken <= set(ACCURACY_BUDGETS):
            self.open[trial.number] = trial
            self._gains[trial.number] = math.inf

    def gains(self, outcomes: Outcomes) -> dict[int, float]:
        """Upper bounds of the expected gain of a longer training, by trial number; without trials that gain nothing."""
        if outcomes != self._outcomes:
            self._gains = dict.fromkeys(self.open, math.inf)
        self._outcomes = outcomes
        return self._gains

    def update(self, number: int, outcomes: Outcomes, growth: Growth) -> float:
        """Compute the expected gain of a trial's longer training with the present front, and store it."""
        self._gains[number] = found = outcomes.gain(self.open[number], growth)
        if not found:
            del self._gains[number]
        return found


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The first or longer training with the highest expected gain of hypervolume per second, or ``None``."""
    space = spaces.affordable
    if history.growth is None or not space.train:
        return None
    first = None
    if space.around.has_training_data and spaces.whole.epochs[0] in space.epochs:
        first = first_trainings.propose(history, spaces.short)
    longer = _longer(history, space)
    return max(filter(None, (longer, first)), key=lambda proposal: proposal.gain_per_second, default=None)


def _longer(history: History, space: Space) -> Proposal | None:
    if history.growth is None:
        return None
    rungs = history.view(Rungs)
    best = rungs.best.get(space.epochs)
    answered = best is not None and best.candidate is not None and history.knows(best.candidate.key)
    if answered or space.epochs not in rungs.best:
        rungs.best[space.epochs] = best = _best(history, space, rungs, history.growth)
    return best


def outcomes_of_longer(history: History) -> Outcomes:
    """The expected drops after longer trainings, learned from this run and from earlier searches."""
    return Outcomes.learned(POLICY.promotions.longer, history.allowed_drop, history.view(Rungs).ended)


def _best(history: History, space: Space, rungs: Rungs, growth: Growth) -> Proposal | None:
    outcomes = outcomes_of_longer(history)
    waiting: list[tuple[float, int, float, float]] = []  # a heap by gain per second; gains are updated when popped
    for number, gain in rungs.gains(outcomes).items():
        trial = rungs.open[number]
        epochs = trial.params["epochs"]["chosen"]
        longer = next((length for length in space.epochs if length > epochs), None)
        if longer is None:
            continue
        known = rungs.longer.get((number, longer))
        if known is None or not history.knows(known.key):
            seconds = max(POLICY.promotions.least_seconds, sum(trial.seconds.values()) * longer / epochs)
            waiting.append((-gain / seconds, number, seconds, longer))
    heapq.heapify(waiting)
    while waiting:
        _, number, seconds, longer = heapq.heappop(waiting)
        per_second = rungs.update(number, outcomes, growth) / seconds
        if not per_second:
            continue
        if waiting and -per_second > waiting[0][0]:
            heapq.heappush(waiting, (-per_second, number, seconds, longer))
            continue
        script = ScriptedChoices(choices_of(rungs.open[number]) | {"epochs": longer})
        candidate = rungs.longer[number, longer] = space.suggest(script)
        if not history.knows(candidate.key):
            return Proposal("promotion", space, script, candidate, gain_per_second=per_second)
    return None
