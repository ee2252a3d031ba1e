"""The limit of a run's cache: the oldest trained stages go, but never what a member of the front needs."""

import os
from collections.abc import Iterable
from pathlib import Path

from litetuner.search.evaluation.candidate_jobs import known_checkpoints
from litetuner.search.evaluation.services import Services
from litetuner.spaces.candidate import Candidate

MODELS = (".npz", ".tflite")  # checkpoints and converted files are the bulk; predictions are small


def evict(services: Services, members: Iterable[Candidate], limit_bytes: float) -> int:
    """Remove the oldest models from the cache until it is within ``limit_bytes``; returns the bytes that were freed.

    The rebuilt original and the checkpoints of ``members`` (the front, and what is in flight) stay, also above the limit:
    their variants would have to be trained again. Artifacts are not part of the cache.
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
