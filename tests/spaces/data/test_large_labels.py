"""Labels that are changed part by part: what is large is in a file, with the same values."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from litetuner.spaces.data import arrays
from litetuner.spaces.data.labels import prepare_labels
from litetuner.spaces.errors import LitetunerError

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


def test_a_full_disk_is_told_before_an_array_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(LitetunerError, match="No space left"):
        arrays.new_array((10,), np.dtype(np.float32))
