"""Calibration samples: how many, which, and that they come from the train split alone."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.data.calibration import SELECTIONS, calibration_details, check_calibration, select_samples
from litetuner.spaces.errors import DataError, Refused

Data = tuple[np.ndarray, np.ndarray]
GENERATOR = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """1,000 samples of 2 numbers: 980 of class 0 near the origin, 20 of class 1 far out, the farthest (9, 9)."""
    x = GENERATOR.normal(scale=0.1, size=(1000, 2)).astype(np.float32)
    y = np.zeros(1000, np.int64)
    x[:20] += 5
    y[:20] = 1
    x[7] = 9
    return x, y


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("count", [1, 50, 5000])
def test_so_many_train_samples_by_seed(data: Data, selection: str, count: int) -> None:
    def outputs(x: np.ndarray) -> np.ndarray:
        return x

    first, again = (select_samples(*data, count, selection, 3, outputs) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(first) == min(count, 1000) == len(np.unique(first, axis=0))
    assert first.max() < 100


def test_each_selection_does_what_it_says(data: Data) -> None:
    def far(selection: str) -> int:
        return int((select_samples(*data, 40, selection, 1, lambda x: x)[:, 0] > 3).sum())

    assert far("balanced") == 20  # classes take turns
    assert far("random") < 5
    assert far("extremes") == 20
    spread = select_samples(*data, 3, "spread", 1, lambda x: x)
    assert [9, 9] in spread.tolist()  # the farthest comes first
    assert 0 < (spread[:, 0] > 3).sum() < 3  # and then what is farthest from it


def test_spread_looks_at_outputs(data: Data) -> None:
    """Where all outputs are equal but one, that one is taken."""
    chosen = select_samples(*data, 1, "spread", 1, lambda x: (np.arange(len(x)) == 500).astype(float))
    assert len(chosen) == 1
    with pytest.raises(ValueError, match="outputs"):
        select_samples(*data, 1, "spread", 1)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_no_train_samples_and_bad_ones(selection: str) -> None:
    with pytest.raises(DataError, match="there are none"):
        select_samples(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), 5, selection, 0, lambda x: x)
    x, y = np.full((4, 2), np.nan, np.float32), np.zeros(4, np.int64)
    with pytest.raises(DataError, match="NaN"):
        select_samples(x, y, 4, selection, 0, lambda x: np.zeros((len(x), 1)))


def test_words_and_checks() -> None:
    assert calibration_details("int8", 0, "balanced") == []
    assert calibration_details("int8", 50, "balanced") == ["int8: calibrated on 50 samples (balanced)"]
    assert calibration_details("int8", 0, "extremes") == ["int8: calibrated on the usual number of samples (extremes)"]
    with pytest.raises(Refused, match="did you mean 'spread'"):
        check_calibration("int8", 50, "spred")
    with pytest.raises(Refused, match="at least 1"):
        check_calibration("int8", -1, "random")
