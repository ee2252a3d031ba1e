"""The cache of jobs: equal inputs give the same result, so each is done once a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from litetuner.search.executor import Executor
from litetuner.search.job import Job, Result
from litetuner.search.run_folder import RunFolder
from litetuner.spaces.store import write_json

BLOB = re.compile(r"[0-9a-f]{64}\.\w+")


class JobCache:
    """Runs jobs through an executor, or answers them from ``cache/<key>/result.json``."""

    def __init__(self, folder: RunFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor

    def run(self, job: Job) -> Result:
        """A job's result; one from the cache costs nothing and is marked ``cached``."""
        known = self.known(job)
        if known is not None:
            return known
        result = self._executor.run(job)
        write_json(
            self._path(job), {"kind": job.kind, "seconds": result.seconds, "outputs": result.outputs}, durable=False
        )
        return result

    def known(self, job: Job) -> Result | None:
        """The result if it is stored and all its blobs are still there."""
        path = self._path(job)
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8")
        if not text:  # a power cut; the job is done again
            return None
        outputs = json.loads(text)["outputs"]
        if not all(self._folder.blobs.has(name) or self._folder.artifacts.has(name) for name in _blobs(outputs)):
            return None
        return Result(outputs, cached=True)

    def _path(self, job: Job) -> Any:
        return self._folder.path / "cache" / job.key / "result.json"


def _blobs(value: Any) -> Iterator[str]:
    if isinstance(value, str) and BLOB.fullmatch(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _blobs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _blobs(item)
