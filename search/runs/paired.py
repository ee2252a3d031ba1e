"""Paired comparison of two trials by the per-sample values that scoring has stored. Runs no user code."""

import functools

from litetuner.objectives.statistics import paired_difference
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import Trial


def equal_metric(folder: RunFolder, seed: int, one: Trial, other: Trial) -> bool | None:
    """True if the paired difference's interval includes 0; ``None`` if per-sample values are missing or damaged."""
    if one.each is None or other.each is None or not (folder.blobs.has(one.each) and folder.blobs.has(other.each)):
        return None
    return one.each == other.each or _equal(folder, seed, one.each, other.each)


@functools.lru_cache(maxsize=4096)
def _equal(folder: RunFolder, seed: int, one: str, other: str) -> bool:
    """Cached, because a live view calls this twice a second. Blob names are content hashes, so results never change."""
    values = folder.workspace().array
    low, high = paired_difference(values(one), values(other), seed)[1]
    return low <= 0 <= high
