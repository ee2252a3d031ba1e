"""Paired comparison of two trials from the per-sample values that scoring kept. Runs no code of the user's."""

import functools

from litetuner.objectives.statistics import paired_difference
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import Trial


def equal_metric(folder: RunFolder, seed: int, one: Trial, other: Trial) -> bool | None:
    """Does the paired interval of the difference include 0? ``None`` where per-sample values are missing or damaged."""
    if one.each is None or other.each is None or not (folder.blobs.has(one.each) and folder.blobs.has(other.each)):
        return None
    return one.each == other.each or _equal(folder, seed, one.each, other.each)


@functools.lru_cache(maxsize=4096)
def _equal(folder: RunFolder, seed: int, one: str, other: str) -> bool:
    """Blobs are named by their content, so that the answer never changes; a live view asks twice a second."""
    values = folder.workspace().array
    low, high = paired_difference(values(one), values(other), seed)[1]
    return low <= 0 <= high
