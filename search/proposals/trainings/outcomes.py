"""The expected accuracy drop after a training, learned from the trainings of this run, and the expected gain."""

import dataclasses
from collections.abc import Iterable, Sequence

from litetuner.search.hypervolume import Growth
from litetuner.search.policy import POLICY, OutcomePolicy
from litetuner.search.trial import Trial

SPREAD = POLICY.promotions.spread
NEWEST = POLICY.promotions.newest_outcomes


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Expected accuracy drops after a training of one kind (first or longer).

    ``usual`` gives the expected drop in units of ``allowed``, the largest drop that the budgets allow. ``errors`` are
    differences, measured minus expected drop, in the same unit: three assumed ones, then those of this run's trainings.
    Each of these errors may occur again.
    """

    usual: OutcomePolicy
    allowed: float
    errors: tuple[float, ...] = (-SPREAD, 0.0, SPREAD)

    @classmethod
    def learned(cls, usual: OutcomePolicy, allowed: float, ended: Sequence[tuple[float, float]]) -> "Outcomes":
        """Learn the errors from pairs (drop before, drop after a training), in the order of the trials."""
        known = cls(usual, allowed)
        errors = (after / allowed - known.expected(before) for before, after in ended[-NEWEST:])
        return dataclasses.replace(known, errors=(*known.errors, *errors))

    def expected(self, before: float) -> float:
        return self.usual.floor + self.usual.share * max(0.0, before / self.allowed)

    def drops(self, before: float) -> Iterable[float]:
        """The possible drops after a training of a file with the drop ``before``, in the same unit as ``before``."""
        return (self.allowed * (self.expected(before) + error) for error in self.errors)

    def gain(self, trial: Trial, growth: Growth) -> float:
        """The expected gain of hypervolume from training a scored trial: the mean over all possible drops.

        Size and latency are assumed unchanged. The gain never increases while the front grows.
        """
        drops = self.drops(trial.measurements["drop"].value)
        costs = (growth.costs(trial.value, drop) for drop in drops)
        return sum(0.0 if cost is None else growth.gain(cost) for cost in costs) / len(self.errors)
