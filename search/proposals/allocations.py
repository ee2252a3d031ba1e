"""Allocations: a knapsack over layer statistics chooses the treatment of each layer for a target size.

Earlier trials determine the target size. A treatment is the sparsity and the number of weight values of a layer.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.bases import Base, bases
from litetuner.search.proposals.estimates.arithmetic import float_is_better, in_float_if
from litetuner.search.proposals.estimates.estimates import UNTRAINED, base_of, expected_gain, offered, violation
from litetuner.search.proposals.proposal import Proposal, Spaces, choices_of, first_new
from litetuner.search.trial import Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.allocation.knapsack import Place, allocate
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SIZE = "compressed_bytes"


class Allocated:
    """The scored trials of this strategy by the key of their base (``base_of``), and cached results of computations."""

    def __init__(self) -> None:
        self.trials: dict[str, list[Trial]] = {}
        self.seconds: list[float] = []  # seconds of each trial
        self._layers: Statistics | None = None  # the statistics that ``_places`` were computed from
        self._places: dict[int, dict[str, Place] | None] = {}  # by power of ``same_bytes``: treatments by layer
        # By trial number and the choices of another base: this trial's treatments applied to that base.
        self._candidates: dict[tuple[int, str], tuple[ScriptedChoices, Candidate]] = {}

    def add(self, trial: Trial, gain: float) -> None:
        if trial.state.scored and trial.origin == "allocation":
            self.trials.setdefault(base_of(trial.candidate).key, []).append(trial)
            self.seconds.append(sum(trial.seconds.values()))

    def allocated(self, layers: Statistics, most_bytes: float) -> dict[str, Place] | None:
        """Treatments by layer that take at most ``most_bytes``, or ``None`` if there are none.

        The bytes are rounded down to a power of ``same_bytes``, so that an earlier solution can be reused.
        """
        if most_bytes <= 0:
            return None
        if layers is not self._layers:
            self._layers, self._places = layers, {}
        power = math.floor(math.log(most_bytes) / math.log(POLICY.allocations.same_bytes))
        if power not in self._places:
            self._places[power] = allocate(layers, POLICY.allocations.same_bytes**power)
        return self._places[power]

    def moved(self, trial: Trial, base: Base, space: Space) -> tuple[ScriptedChoices, Candidate]:
        """The choices and the candidate that apply the treatments of ``trial`` to another base."""
        key = trial.number, repr(sorted(base.choices.items()))
        if key not in self._candidates:
            script = ScriptedChoices({**choices_of(trial), **base.choices})
            self._candidates[key] = script, space.suggest(script)
        return self._candidates[key]

    def of(self, base: Candidate) -> list[Trial]:
        return self.trials.get(base.key, [])


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The next allocation: at the size budget, then the one with the highest expected gain, else the first one planned.

    For each base, the target sizes approach the smallest size with an allowed drop. Bases are the model, and trained or
    channel-pruned models of the Pareto front. These first get the treatments of one of the model's allocations. Then the
    gaps between sizes are filled if that is expected to gain hypervolume.
    """
    if not _possible(spaces.whole):
        return None
    gaining = None if owed(history, spaces) else best(history, spaces)
    return gaining or next(filter(None, (planned for _, planned in _planned(history, spaces))), None)


def best(history: History, spaces: Spaces) -> Proposal | None:
    """The allocation with the highest expected gain of hypervolume per second, or ``None`` if none should gain any.

    ``gain_per_second`` of the proposal is this gain. Also ``None`` before the first allocation was scored.
    """
    known = history.view(Allocated)
    found = None
    if not (_possible(spaces.whole) and known.seconds):
        return None
    seconds = max(statistics.median(known.seconds), POLICY.scheduler.least_seconds)
    for base, proposal in _planned(history, spaces, gaps=True):
        gain = 0.0 if proposal is None else _gain(proposal.candidate, base, history) / seconds
        if proposal is not None and gain > (found.gain_per_second if found else 0.0):
            found = dataclasses.replace(proposal, gain_per_second=gain)
    return found


def _planned(history: History, spaces: Spaces, *, gaps: bool = False) -> Iterator[tuple[Base, Proposal | None]]:
    """Each base with its next allocation, the model first; ``None`` as allocation if no target size is left.

    With ``gaps``, sizes between those of earlier allocations are target sizes, too.
    """
    space = spaces.whole
    assert space.statistics is not None
    for base in bases(history, space, space.statistics):
        yield base, first_new(_proposals(history, space, space.statistics, base, gaps), history)


def _possible(space: Space) -> bool:
    return space.statistics is not None and offered(space.statistics, space.deployments())


def owed(history: History, spaces: Spaces) -> bool:
    """True if a size budget has no allocation close to it yet, and one can be proposed.

    Such an allocation is tried first, also after a budget was changed.
    """
    if not (_possible(spaces.whole) and _open_limits(history)):
        return False
    return next(_planned(history, spaces))[1] is not None


def _limits(history: History) -> list[float]:
    return [budget.limit for budget in history.budgets if budget.measurement == SIZE]


def _open_limits(history: History) -> list[float]:
    sizes = [trial.value(SIZE) or 0.0 for trial in history.view(Allocated).of(UNTRAINED)]
    near = POLICY.allocations.near
    return [limit for limit in _limits(history) if not any(near * limit <= size <= limit for size in sizes)]


def _proposals(history: History, space: Space, layers: Statistics, base: Base, gaps: bool) -> Iterator[Proposal]:
    trials, changed = history.view(Allocated).of(base.candidate), bool(base.candidate.steps)
    if changed and not trials:
        found: Iterable[tuple[ScriptedChoices, Candidate]] = _moved(history, space, base)
    else:
        smaller = _smaller(history, trials) if changed else _sizes_of_the_model(history)
        sizes = itertools.chain(smaller, _between(history, trials) if gaps else ())
        found = _solved(history, space, layers, base, sizes)
    for script, candidate in found:
        if not changed or (base_of(candidate) == base.candidate and _gain(candidate, base, history)):
            yield Proposal("allocation", space, script, candidate)


def _solved(
    history: History, space: Space, layers: Statistics, base: Base, sizes: Iterable[float]
) -> Iterator[tuple[ScriptedChoices, Candidate]]:
    better = float_is_better(history)
    for size in sizes:
        places = history.view(Allocated).allocated(layers, base.estimator.most_bytes(size))
        if places is not None:
            choices = step_for(Role.BY_LAYER).script(places)
            script = ScriptedChoices(choices | in_float_if(better, choices) | dict(base.choices))
            yield script, space.suggest(script)


def _moved(history: History, space: Space, base: Base) -> list[tuple[ScriptedChoices, Candidate]]:
    """The model's allocations applied to another base, the highest expected gain first."""
    known = history.view(Allocated)
    found = [known.moved(trial, base, space) for trial in known.of(UNTRAINED)]
    return sorted(found, key=lambda each: -_gain(each[1], base, history))


def _gain(candidate: Candidate | None, base: Base, history: History) -> float:
    """The expected gain of hypervolume; 0 if the candidate is expected to break a budget or nothing is known of it."""
    told = {} if candidate is None else base.estimator.measurements(candidate)
    return expected_gain(told, history) if told and violation(told, history) <= 0 else 0.0


def _sizes_of_the_model(history: History) -> Iterator[float]:
    """Target sizes for the model: a little below each size budget that no allocation is close to, then the next size.

    Without a size budget the first target is a share of the baseline's compressed size.
    """
    numbers, baseline = POLICY.allocations, find_baseline(history.trials)
    trials = history.view(Allocated).of(UNTRAINED)
    if not _limits(history) and not trials and baseline is not None:
        yield (baseline.value(SIZE) or 0.0) * numbers.first_share
    yield from (limit * (1 - numbers.margin) for limit in _open_limits(history))
    yield from _smaller(history, trials)


def _smaller(history: History, trials: Sequence[Trial]) -> Iterator[float]:
    """The next target size on the way to the smallest size with an allowed drop; nothing if the search is done.

    It is between the smallest size with an allowed drop and the largest tried size below it. If no smaller size was
    tried, it is smaller by ``step``. If no drop was allowed, it is larger by ``step``, but below the size budgets.
    """
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


def _between(history: History, trials: Sequence[Trial]) -> Iterator[float]:
    """The middles of gaps between the sizes whose drop is allowed, on a logarithmic scale, the widest gap first."""
    allowed, apart = history.allowed_drop, POLICY.allocations.resolution**2
    kept = sorted(trial.value(SIZE) or 0.0 for trial in trials if (trial.value("drop") or 0.0) <= allowed)
    gaps = sorted(itertools.pairwise(kept), key=lambda gap: gap[0] / gap[1])
    yield from (math.sqrt(small * large) for small, large in gaps if large / small > apart)
