"""Codebooks: neighbors become one value, zero stays, and no more is changed than must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litetuner.spaces.training.codebook import to_codebook


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([3, 3, 5, 6, 6, 6, 0], 3, [3, 3, 6, 6, 6, 6, 0]),  # the rarer of two neighbors moves
        ([0, 1, 1, 1, 9], 2, [0, 0, 0, 0, 9]),  # zero stays also where it is the rarer one
        ([-1, 0, 4], 2, [0, 0, 4]),
        ([1, 2, 3], 3, [1, 2, 3]),
        ([1, 2, 3], 8, [1, 2, 3]),
    ],
)
def test_the_nearest_become_one(values: list[int], count: int, expected: list[int]) -> None:
    found = to_codebook(np.array(values, np.float32), count)
    assert found.tolist() == expected and found.dtype == np.float32


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=60), st.integers(1, 12))
def test_at_most_so_many_values_all_of_them_old(values: list[int], count: int) -> None:
    array = np.array(values).reshape(-1, 1)
    found = to_codebook(array, count)
    assert found.shape == array.shape and len(np.unique(found)) == min(count, len(np.unique(array)))
    assert set(found.flat) <= set(values) and (found[array == 0] == 0).all()
    assert (np.diff(found[np.argsort(array, axis=0).ravel()], axis=0) >= 0).all(), "the order of values stays"
