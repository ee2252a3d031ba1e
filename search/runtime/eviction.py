"""The size limit of a run's cache: the oldest models are removed, but never those that the Pareto front needs."""

import os
from collections.abc import Iterable
from pathlib import Path

from litetuner.search.evaluation.candidate_jobs import known_checkpoints
from litetuner.search.evaluation.services import Services
from litetuner.spaces.candidate import Candidate

MODELS = (".npz", ".tflite")  # checkpoints and converted files, which are large; predictions are small


def evict(services: Services, members: Iterable[Candidate], limit_bytes: float) -> int:
    """Remove the oldest models from the cache until it is within ``limit_bytes``; returns the bytes that were freed.

    The rebuilt baseline model, the files of running jobs, and the checkpoints of ``members`` (the Pareto front and the
    trials in flight) are kept, also above the limit: without them, variants of these candidates would have to be
    trained again. Artifacts are not part of the cache.
    """
    folder = services.folder.blobs.folder
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:
        found = [(entry, entry.stat()) for entry in entries if entry.name.endswith(MODELS)]
    total = sum(about.st_size for _, about in found)
    if total <= limit_bytes:
        return 0
    needed = {services.inspection.base, services.inspection.original} | services.cache.held
    for candidate in members:
        needed |= set(known_checkpoints(services, candidate))
    freed = 0
    for entry, about in sorted(found, key=lambda item: item[1].st_mtime):
        if total - freed <= limit_bytes:
            break
        if entry.name not in needed:
            Path(entry.path).unlink(missing_ok=True)
            freed += about.st_size
    services.folder.note("cache evicted", bytes=freed)
    return freed
