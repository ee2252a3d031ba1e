"""Labels that do not fit are named with what to do, whatever the metric is."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.data.labels import prepare_labels
from litetuner.spaces.errors import DataError

RNG = np.random.default_rng(0)
MASK = RNG.integers(0, 2, (6, 4, 4, 1))
SERIES = RNG.normal(size=(6, 12))


@pytest.mark.parametrize(
    ("y", "task", "output", "advice", "corrected"),
    [
        # Masks of images, as PNG files give them.
        (MASK * 255, "classification", (None, 4, 4, 1), "y = y // 255", MASK),
        (MASK[..., 0] * 255, "classification", (None, 4, 4, 1), "y = y // 255", MASK[..., 0]),
        (np.arange(6) % 3 * 127, "classification", (None, 3), "y = y // 127", np.arange(6) % 3),
        # A forecast, whose last axis a table does not have; the usual metric is of classes.
        (SERIES, "regression", (None, 12, 1), "y = y[..., None]", SERIES[..., None]),
        (SERIES, "classification", (None, 12, 1), "--metric mae", None),
        (SERIES, "classification", (None, 12, 1), "y = y[..., None]", None),
        (SERIES[..., None], "regression", (None, 12), "y = y[..., 0]", SERIES),
        (SERIES, "regression", (None, 3, 4), "y.reshape(len(y), 3, 4)", SERIES.reshape(6, 3, 4)),
        (RNG.random((2, 3, 4, 5)), "regression", (None, 4, 5, 3), "np.moveaxis(y, 1, -1)", None),
        (SERIES, "regression", (None, 6, 12), "y = y[None]", SERIES[None]),
        # Class numbers for a metric of quantities, and other numbers of classes.
        (np.arange(6) % 3, "regression", (None, 3), "--metric accuracy", None),
        (np.arange(6) % 3 + 1, "classification", (None, 3), "subtract 1", np.arange(6) % 3),
        (np.array([-1, 1, 1]), "classification", (None, 1), "y = (y + 1) // 2", np.array([0, 1, 1])),
        (np.array([5, 17, 40]), "classification", (None, 3), "np.unique(y, return_inverse=True)[1]", np.arange(3)),
        (np.where(MASK == 1, 255, MASK), "classification", (None, 4, 4, 5), "y = y // 255", MASK),
        (np.array([[0, 1, 255]]), "classification", (None, 3, 2), "255 mark places to ignore", None),
        (np.array([[1, 2, 3, 4]]), "classification", (None, 16, 11), "4 out of 16 steps, as CTC", None),
        (np.arange(600), "classification", (None, 10), "If its labels are quantities, add --metric mae", None),
    ],
)
def test_the_advice_makes_the_labels_fit(
    y: np.ndarray, task: str, output: tuple[int | None, ...], advice: str, corrected: np.ndarray | None
) -> None:
    with pytest.raises(DataError) as stop:
        prepare_labels("y_train", y, task, output)
    assert advice in str(stop.value) and str(stop.value).startswith("y_train")
    if corrected is not None:
        prepare_labels("y_train", corrected, task, output)
