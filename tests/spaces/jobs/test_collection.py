"""Python looks for cycles as often as before once records were read, also after an error."""

from __future__ import annotations

import gc

import pytest

from litetuner.spaces.jobs.collection import NEW_OBJECTS, few_collections


@pytest.mark.parametrize(("before", "during"), [(700, NEW_OBJECTS), (2 * NEW_OBJECTS, 2 * NEW_OBJECTS), (0, 0)])
def test_the_threshold_is_restored(before: int, during: int) -> None:
    usual = gc.get_threshold()
    gc.set_threshold(before, *usual[1:])
    try:
        with pytest.raises(KeyError), few_collections():
            assert gc.get_threshold()[0] == during
            raise KeyError
        assert gc.get_threshold() == (before, *usual[1:])
    finally:
        gc.set_threshold(*usual)
