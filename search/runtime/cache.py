"""The cache of jobs: equal inputs give the same result, so each is done once a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import Job, Result
from litetuner.spaces.store import write_json

BLOB = re.compile(r"[0-9a-f]{64}\.\w+")


class JobCache:
    """Runs jobs through an executor, or answers them from ``cache/<key>/result.json``."""

    def __init__(self, folder: RunFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._unclaimed: dict[str, Result] = {}  # what ran ahead, by key, until somebody runs it
        self._ahead: set[str] = set()  # blobs that what runs ahead stands on
        self._overlapped = 0.0

    def run(self, job: Job) -> Result:
        """A job's result; one from the cache costs nothing and is marked ``cached``."""
        stored = self.stored(job)
        ahead = self._unclaimed.pop(job.key, None)
        if stored is not None and ahead is None:
            return stored
        if stored is not None and ahead is not None:
            job.keep_log(ahead.log)
            result = ahead
        else:
            result = self._executor.run(job)
            self._write(job, result)
        self._overlapped += result.overlapped
        return result

    def known(self, job: Job) -> Result | None:
        """The result if it is stored and all its blobs are still there.

        What ran ahead is known once somebody has run it: a trial must not depend on how far the background had come.
        """
        stored = self.stored(job)
        return None if job.key in self._unclaimed else stored

    @property
    def overlaps(self) -> bool:
        """Can the executor train beside other jobs?"""
        return self._executor.overlaps

    def prefetch(self, job: Job) -> None:
        """Have a ``train`` job begin in the background, in place of another one there, if it is not done already."""
        if self.stored(job) is None:
            self._ahead = set(_blobs(job.inputs))  # at most one runs
            self._executor.prefetch(job)

    def abandon(self) -> None:
        """End what runs ahead. What has ended stays."""
        self._harvest()
        self._executor.abandon()

    @property
    def held(self) -> set[str]:
        """Blobs that what runs or ran ahead needs: none of them may be evicted."""
        return self._ahead | {blob for result in self._unclaimed.values() for blob in _blobs(result.outputs)}

    def take_overlapped(self) -> float:
        """Seconds of training, since this was last asked, that passed beside other jobs."""
        found, self._overlapped = self._overlapped, 0.0
        return found

    def _harvest(self) -> None:
        for job, result in self._executor.finished():
            self._write(job, result)
            self._unclaimed[job.key] = result

    def _write(self, job: Job, result: Result) -> None:
        record = {"kind": job.kind, "seconds": result.seconds, "outputs": result.outputs}
        write_json(self._path(job), record, durable=False)

    def stored(self, job: Job) -> Result | None:
        """The result if it is stored, also where it ran ahead and nobody has asked for it yet."""
        self._harvest()
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
