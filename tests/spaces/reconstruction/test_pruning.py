"""Which weights pruning without training removes, and coordinate descent on those that stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.reconstruction import pruning
from litetuner.spaces.reconstruction.compensation import BLOCK, SWEEPS, polished
from litetuner.spaces.reconstruction.hessian import inverse_factor, squared_error
from litetuner.spaces.reconstruction.pruning import _outputs, fitted, pruned


def test_the_cost_of_a_removal_is_the_error_once_the_others_made_up_for_it() -> None:
    """Against solutions without those weights, weight by weight, after two rounds of removals; float32."""
    random = np.random.default_rng(4)
    wanted, read = random.normal(size=(2, 6, 3)), random.normal(size=(2, 20, 6))
    hessian, places = read.transpose(0, 2, 1) @ read / 20, random.uniform(size=(2, 6, 3))
    keep = places > 0.3
    assert keep.sum() > 10
    start = fitted(wanted, hessian, keep)
    for (group, output), every in _outputs(wanted, inverse_factor(hessian, "dense")).items():
        half = every.without(places[group, :, output] <= 0.15)
        left = half.without(~keep[group, half.rows, output])
        assert list(left.rows) == list(np.flatnonzero(keep[group, :, output]))
        assert left.weights == pytest.approx(start[group, left.rows, output], rel=1e-3, abs=1e-4)
        for row, cost in zip(left.rows, left.costs, strict=True):
            fewer = keep.copy()
            fewer[group, row, output] = False
            without = fitted(wanted, hessian, fewer)
            expected = squared_error(without - wanted, hessian) - squared_error(start - wanted, hessian)
            assert cost == pytest.approx(expected, rel=1e-3)


def test_blocks_of_features_are_updated_as_one_feature_after_the_other() -> None:
    """Coordinate descent in its plain form, over more features than fit a block."""
    random = np.random.default_rng(6)
    features = 2 * BLOCK + 6
    wanted, read = random.normal(size=(2, features, 3)), random.normal(size=(2, 200, features))
    hessian = read.transpose(0, 2, 1) @ read / 200
    expected = np.rint(wanted + random.normal(size=wanted.shape))
    start = expected.copy()
    for _ in range(SWEEPS):
        for k in range(features):
            residual = np.einsum("gf,gfo->go", hessian[:, k], expected - wanted)
            expected[:, k] = np.rint(expected[:, k] - residual / hessian[:, k, k, None])
    found = polished(wanted, hessian, start, lambda values, k: np.rint(values))
    assert not np.array_equal(found, start)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("most", [2**28, 0])
def test_pruning_begins_with_the_zeros_that_are_there(most: int, monkeypatch: Any) -> None:
    """With all inverses in memory, and in one pass: the requested share is zero, these zeros among it."""
    monkeypatch.setattr(pruning, "MOST_BYTES", most)
    random = np.random.default_rng(7)
    wanted, read = random.normal(size=(3, 20, 4)), random.normal(size=(3, 90, 20))
    hessian, keep = read.transpose(0, 2, 1) @ read / 90, random.uniform(size=(3, 20, 4)) > 0.3
    factor = inverse_factor(hessian, "dense")
    found = pruned(wanted, hessian, factor, keep, 0.6)
    assert (found[~keep] == 0).all()
    assert 0.6 <= np.mean(found == 0) <= 0.65
    at_random = fitted(wanted, hessian, keep & (random.uniform(size=keep.shape) > 0.4))
    assert squared_error(found - wanted, hessian) < squared_error(at_random - wanted, hessian)
    assert np.array_equal(pruned(wanted, hessian, factor, keep, 0.0) != 0, keep)
