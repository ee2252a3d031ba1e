"""Allocations: the treatment of each layer by a knapsack over layer statistics, at a size that follows from the trials so far."""

import statistics
from collections.abc import Iterator, Sequence

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.bases import Base, bases
from litetuner.search.proposals.estimates import UNTRAINED, base_of, expected_gain, offered, violation
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of, first_new
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.allocation.knapsack import allocate
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SIZE = "compressed_bytes"


class Allocated:
    """The scored trials of this strategy by the key of their base, and bases that have no size left until one is answered."""

    def __init__(self) -> None:
        self.trials: dict[str, list[Trial]] = {}
        self.exhausted: set[str] = set()
        self.seconds: list[float] = []  # that each took

    def add(self, trial: Trial, gain: float) -> None:
        if trial.state is State.LOST or trial.origin == "allocation":
            self.exhausted.clear()
        if trial.state.scored and trial.origin == "allocation":
            self.trials.setdefault(base_of(trial.candidate).key, []).append(trial)
            self.seconds.append(sum(trial.seconds.values()))

    def of(self, base: Candidate) -> list[Trial]:
        return self.trials.get(base.key, [])


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The first allocation that is new: at the budget, then on the way to the smallest size whose drop is allowed.

    What was trained or cut for the front gets the allocation of the model that should gain most there, then sizes of its own.
    """
    space, known = spaces.whole, history.view(Allocated)
    if not _possible(space):
        return None
    taken = None if owed(history, spaces) else taken_over(history, spaces)
    if taken is not None:
        return taken
    assert space.statistics is not None
    for base in bases(history, space, space.statistics):
        if base.candidate.key in known.exhausted:
            continue
        found = first_new(_proposals(history, space, space.statistics, base), history)
        if found is not None:
            return found
        known.exhausted.add(base.candidate.key)
    return None


def taken_over(history: History, spaces: Spaces) -> Proposal | None:
    """An allocation of the model for a base that has none yet, with what it should gain per second."""
    space, known = spaces.whole, history.view(Allocated)
    if not (_possible(space) and known.seconds):
        return None
    assert space.statistics is not None
    for base in bases(history, space, space.statistics):
        if base.candidate.steps and not known.of(base.candidate) and base.candidate.key not in known.exhausted:
            found = first_new(_taken_over(history, space, base, statistics.median(known.seconds)), history)
            if found is not None:
                return found
            known.exhausted.add(base.candidate.key)
    return None


def _possible(space: Space) -> bool:
    return space.statistics is not None and offered(space.statistics, space.deployments())


def owed(history: History, spaces: Spaces) -> bool:
    """Is there a budget of size that no allocation is near to? That is the first thing to try, also under a new budget."""
    possible = _possible(spaces.whole)
    return possible and UNTRAINED.key not in history.view(Allocated).exhausted and bool(_open_limits(history))


def _limits(history: History) -> list[float]:
    return [budget.limit for budget in history.budgets if budget.measurement == SIZE]


def _open_limits(history: History) -> list[float]:
    sizes = [trial.value(SIZE) or 0.0 for trial in history.view(Allocated).of(UNTRAINED)]
    near = POLICY.allocations.near
    return [limit for limit in _limits(history) if not any(near * limit <= size <= limit for size in sizes)]


def _proposals(history: History, space: Space, layers: Statistics, base: Base) -> Iterator[Proposal]:
    trials = history.view(Allocated).of(base.candidate)
    own = _sizes_of_the_model(history) if not base.candidate.steps else _smaller(history, trials)
    for size in own:
        found = allocate(layers, base.estimator.most_bytes(size))
        if found is not None:
            script = ScriptedChoices({**step_for(Role.BY_LAYER).script(found), **base.choices})
            candidate = space.suggest(script)
            if not base.candidate.steps or _worth_it(candidate, base, history):
                yield Proposal("allocation", space, script, candidate)


def _taken_over(history: History, space: Space, base: Base, seconds: float) -> Iterator[Proposal]:
    """Allocations of the model, by what they should gain."""
    found = []
    for trial in history.view(Allocated).of(UNTRAINED):
        script = ScriptedChoices({**choices_of(trial), **base.choices})
        candidate = space.suggest(script)
        if _worth_it(candidate, base, history):
            gain = expected_gain(base.estimator.measurements(candidate), history)
            found.append(
                (gain, -trial.number, Proposal("allocation", space, script, candidate, gain / max(seconds, 1e-3)))
            )
    yield from (proposal for *_, proposal in sorted(found, key=lambda each: each[:2], reverse=True))


def _worth_it(candidate: Candidate, base: Base, history: History) -> bool:
    """Should it be within the budgets, and add to the front?"""
    told = base.estimator.measurements(candidate)
    fits = base_of(candidate) == base.candidate and bool(told) and violation(told, history) <= 0
    return fits and expected_gain(told, history) > 0


def _sizes_of_the_model(history: History) -> Iterator[float]:
    """The budget where nothing comes near it yet, then smaller ones."""
    numbers, baseline = POLICY.allocations, find_baseline(history.trials)
    trials = history.view(Allocated).of(UNTRAINED)
    if not _limits(history) and not trials and baseline is not None:
        yield (baseline.value(SIZE) or 0.0) * numbers.first_share
    yield from (limit * (1 - numbers.margin) for limit in _open_limits(history))
    yield from _smaller(history, trials)


def _smaller(history: History, trials: Sequence[Trial]) -> Iterator[float]:
    """A size between the smallest allowed drop and the largest one beyond, or beyond what was tried so far."""
    numbers, allowed = POLICY.allocations, history.allowed_drop
    kept = [trial.value(SIZE) or 0.0 for trial in trials if (trial.value("drop") or 0.0) <= allowed]
    lost = [trial.value(SIZE) or 0.0 for trial in trials if (trial.value("drop") or 0.0) > allowed]
    if not kept:
        if lost and max(lost) * numbers.step < min(_limits(history), default=float("inf")):
            yield max(lost) * numbers.step
        return
    smaller = [size for size in lost if size < min(kept)]
    if not smaller:
        yield min(kept) / numbers.step
    elif min(kept) / max(smaller) > numbers.resolution:
        yield (min(kept) * max(smaller)) ** 0.5
