"""Large labels are changed part by part, in a file, with the same values."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.data import arrays
from litetuner.spaces.data.labels import prepare_labels

MASKS = np.random.default_rng(0).integers(0, 3, (40, 6, 5))
CASES = {
    "numbers of classes": (MASKS.astype(np.float64), "multiclass", (None, 6, 5, 3), MASKS.astype(np.uint8)),
    "one-hot rows": (np.eye(3)[MASKS], "multiclass", (None, 6, 5, 3), MASKS.astype(np.uint8)),
    "several labels": ((MASKS > 1).astype(np.uint8), "multilabel", (None, 6, 5), (MASKS > 1).astype(np.float32)),
    "quantities": (MASKS / 7, "regression", (None, 6, 5), (MASKS / 7).astype(np.float32)),
    "as they are": (MASKS / 7, "raw", (None, 9), (MASKS / 7).astype(np.float32)),
}


@pytest.mark.parametrize("case", CASES)
def test_large_labels_are_changed_in_parts(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, task, shape, wanted = CASES[case]
    whole = prepare_labels("y_train", given, task, shape)
    assert whole.dtype == wanted.dtype and np.array_equal(whole, wanted)
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1)
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 7 * given[:1].nbytes)  # of 7 samples
    large = prepare_labels("y_train", given, task, shape)
    assert isinstance(large, np.memmap) and large.dtype == wanted.dtype and np.array_equal(large, wanted)
