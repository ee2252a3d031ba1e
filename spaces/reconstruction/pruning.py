"""Unstructured pruning with compensation by the remaining weights.

The methods are OBS and SparseGPT (arXiv:2208.11580 and arXiv:2301.00774).
"""

import dataclasses
import math

import numpy as np

from litetuner.spaces.reconstruction.compensation import compensated

MOST_WORK = 2e10  # outputs x features^3; the outputs of smaller layers are solved for one by one
MOST_BYTES = 2**28  # of the inverses of all outputs, float32; the same
# Share of the weights that one round of elimination keeps at least: costs are only accurate for few removals. Accuracy
# of ResNet8, four seeds, for 0.7, 0.8 and 0.88: 0.8319, 0.8373, 0.8367 with 70 % zeros; 0.8574, 0.8569, 0.8578 with 50
# % (2026-11-28).
_DENSITY_STEP = 0.8


def pruned(
    wanted: np.ndarray, hessian: np.ndarray, factor: np.ndarray, keep: np.ndarray, sparsity: float
) -> np.ndarray:
    """A kernel with ``sparsity`` whose outputs stay close to those of ``wanted`` (maps, features, outputs).

    Weights where ``keep`` is false are zero and count towards ``sparsity``. Large layers are pruned in one pass,
    without refitting.
    """
    features = wanted.shape[1]
    if wanted.size * features**2 > MOST_WORK or 4 * wanted.size * features > MOST_BYTES:
        return pruned_in_one_pass(np.where(keep, wanted, 0.0), factor, sparsity)
    first, last = keep.mean(), 1 - sparsity
    rounds = max(1, math.ceil(math.log(last / first) / math.log(_DENSITY_STEP))) if last < first else 0
    left = _outputs(wanted, factor) if rounds else {}
    for step in range(1, rounds + 1):
        share, costs = 1 - first * (last / first) ** (step / rounds), np.full(wanted.shape, -1.0)
        for (group, output), before in left.items():
            now = left[group, output] = before.without(~keep[group, before.rows, output])
            costs[group, now.rows, output] = now.costs
        keep = _cheapest_removed(costs, share)
    return fitted(wanted, hessian, keep)


def pruned_in_one_pass(kernel: np.ndarray, factor: np.ndarray, sparsity: float) -> np.ndarray:
    """The kernel with ``sparsity`` in every block of features; the features after a zero compensate for its error."""
    keep = np.ones(kernel.shape, bool)
    diagonal = np.diagonal(factor, axis1=1, axis2=2)[:, :, None]

    def begin(values: np.ndarray, part: slice) -> None:
        costs = np.where(kernel[:, part] == 0, -1.0, (values / diagonal[:, part]) ** 2)
        keep[:, part] = _cheapest_removed(costs, sparsity)

    return compensated(kernel, factor, lambda values, at: values * keep[:, at], begin)


def fitted(wanted: np.ndarray, hessian: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The kernel with outputs closest to those of ``wanted`` that is zero where ``keep`` is false."""
    if keep.all():
        return wanted
    right, found = hessian @ wanted, np.zeros_like(wanted)
    for group, output in np.ndindex(wanted.shape[0], wanted.shape[2]):
        rows = np.flatnonzero(keep[group, :, output])
        if rows.size:
            inner = hessian[group][np.ix_(rows, rows)]
            found[group, rows, output] = np.linalg.solve(inner, right[group, rows, output])
    return found


@dataclasses.dataclass(frozen=True)
class _Output:
    """The remaining weights of one output, and the inverse of their part of the Hessian.

    Both only rank weights, so float32 is precise enough.
    """

    rows: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray

    @property
    def costs(self) -> np.ndarray:
        """The error that removing each weight adds after the others compensated for it."""
        costs: np.ndarray = self.weights**2 / np.maximum(np.diagonal(self.inverse), np.finfo(np.float32).tiny)
        return costs

    def without(self, gone: np.ndarray) -> "_Output":
        """The remaining weights after they compensated for the removal of those where ``gone`` is true (OBS)."""
        stays = ~gone
        if stays.all():
            return self
        across = self.inverse[np.ix_(gone, stays)]
        both = np.column_stack([across, self.weights[gone]])
        made_up = across.T @ np.linalg.solve(self.inverse[np.ix_(gone, gone)], both)
        inverse = self.inverse[np.ix_(stays, stays)] - made_up[:, :-1]
        return _Output(self.rows[stays], self.weights[stays] - made_up[:, -1], inverse)


def _outputs(wanted: np.ndarray, factor: np.ndarray) -> dict[tuple[int, int], _Output]:
    """All weights of all outputs, by map and output. The outputs of a map share one inverse before any removal."""
    inverses, rows = (factor.transpose(0, 2, 1) @ factor).astype(np.float32), np.arange(wanted.shape[1])
    return {
        (group, output): _Output(rows, wanted[group, :, output].astype(np.float32), inverses[group])
        for group, output in np.ndindex(wanted.shape[0], wanted.shape[2])
    }


def _cheapest_removed(costs: np.ndarray, share: float) -> np.ndarray:
    """True for the weights that stay when the cheapest ``share`` of them, rounded up, is removed."""
    kept = np.ones(costs.size, bool)
    kept[np.argsort(costs, axis=None, kind="stable")[: math.ceil(share * costs.size - 1e-6)]] = False
    return kept.reshape(costs.shape)
