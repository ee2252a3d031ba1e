"""What a training makes of a drop in accuracy, learned from the trainings of this run, and what that is expected to gain."""

import dataclasses
from collections.abc import Iterable, Sequence

from litetuner.search.hypervolume import Growth
from litetuner.search.policy import POLICY, OutcomePolicy
from litetuner.search.trial import Trial

SPREAD = POLICY.promotions.spread
NEWEST = POLICY.promotions.newest_outcomes


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Drops after a training of one kind. Drops are in units of ``allowed``, the largest drop that the budgets allow.

    ``usual`` is expected of a training before any has ended, give or take a spread. ``errors`` are how much larger the drops
    were than expected: of trainings before this run, then of this run's. Each may come again.
    """

    usual: OutcomePolicy
    allowed: float
    errors: tuple[float, ...] = (-SPREAD, 0.0, SPREAD)

    @classmethod
    def learned(cls, usual: OutcomePolicy, allowed: float, ended: Sequence[tuple[float, float]]) -> "Outcomes":
        """From pairs of a drop before and after a training, in the order of the trials."""
        known = cls(usual, allowed)
        errors = (after / allowed - known.expected(before) for before, after in ended[-NEWEST:])
        return dataclasses.replace(known, errors=(*known.errors, *errors))

    def expected(self, before: float) -> float:
        return self.usual.floor + self.usual.share * max(0.0, before / self.allowed)

    def drops(self, before: float) -> Iterable[float]:
        """What a drop may become, in its own unit."""
        return (self.allowed * (self.expected(before) + error) for error in self.errors)

    def gain(self, trial: Trial, growth: Growth) -> float:
        """The hypervolume that training a scored trial should add to a front, never more as it grows; size and latency stay."""
        drops = self.drops(trial.measurements["drop"].value)
        costs = (growth.costs(trial.value, drop) for drop in drops)
        return sum(0.0 if cost is None else growth.gain(cost) for cost in costs) / len(self.errors)
