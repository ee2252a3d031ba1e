"""Allocations: the treatment of each layer by a knapsack over layer statistics, at a size that follows from the trials so far."""

from collections.abc import Iterator

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates import Estimator, offered, untrained_estimator
from litetuner.search.proposals.proposal import Proposal, Spaces, first_new
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.reconstruction.allocation.knapsack import allocate
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import ScriptedChoices
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SIZE = "compressed_bytes"


class Allocated:
    """The scored trials of this strategy, and whether nothing is left until another one is answered."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.exhausted = False

    def add(self, trial: Trial, gain: float) -> None:
        if trial.state is State.LOST or trial.origin == "allocation":
            self.exhausted = False
            self.trials += [trial] if trial.state.scored else []


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The first allocation that is new: at the budget, then on the way to the smallest size whose drop is allowed."""
    space, known = spaces.whole, history.view(Allocated)
    if known.exhausted or space.statistics is None or not offered(space.statistics, space.deployments()):
        return None
    estimator = untrained_estimator(history, space.statistics)
    found = first_new(_proposals(history, spaces, space.statistics, estimator), history)
    known.exhausted = found is None
    return found


def owed(history: History, spaces: Spaces) -> bool:
    """Is there a budget of size that no allocation is near to? That is the first thing to try, also under a new budget."""
    space = spaces.whole
    possible = space.statistics is not None and offered(space.statistics, space.deployments())
    return possible and not history.view(Allocated).exhausted and bool(_open_limits(history))


def _open_limits(history: History) -> list[float]:
    sizes = [trial.value(SIZE) or 0.0 for trial in history.view(Allocated).trials]
    limits = [budget.limit for budget in history.budgets if budget.measurement == SIZE]
    return [limit for limit in limits if not any(POLICY.allocations.near * limit <= size <= limit for size in sizes)]


def _proposals(history: History, spaces: Spaces, layers: Statistics, estimator: Estimator) -> Iterator[Proposal]:
    space, constant = spaces.whole, estimator.constant_bytes[SIZE]
    for size in _sizes(history):
        found = allocate(layers, size - constant)
        if found is not None:
            script = ScriptedChoices(step_for(Role.BY_LAYER).script(found))
            yield Proposal("allocation", space, script, space.suggest(script))


def _sizes(history: History) -> Iterator[float]:
    """The budget where nothing comes near it yet, then a size between the smallest allowed drop and the largest one beyond."""
    numbers, baseline = POLICY.allocations, find_baseline(history.trials)
    trials = history.view(Allocated).trials
    limits = [budget.limit for budget in history.budgets if budget.measurement == SIZE]
    if not limits and not trials and baseline is not None:
        yield (baseline.value(SIZE) or 0.0) * numbers.first_share
    yield from (limit * (1 - numbers.margin) for limit in _open_limits(history))
    allowed = history.allowed_drop
    kept = [trial.value(SIZE) or 0.0 for trial in trials if (trial.value("drop") or 0.0) <= allowed]
    lost = [trial.value(SIZE) or 0.0 for trial in trials if (trial.value("drop") or 0.0) > allowed]
    if not kept:
        if lost and max(lost) * numbers.step < min(limits, default=float("inf")):
            yield max(lost) * numbers.step
        return
    smaller = [size for size in lost if size < min(kept)]
    if not smaller:
        yield min(kept) / numbers.step
    elif min(kept) / max(smaller) > numbers.resolution:
        yield (min(kept) * max(smaller)) ** 0.5
