"""Results in a folder that all nodes and the search can write. It keeps results of jobs that end after the search."""

import dataclasses
from pathlib import Path
from typing import Any

from litetuner.search.runtime.cluster.answer import Answer
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.job import Job
from litetuner.spaces.store import Store, read_json, write_json


@dataclasses.dataclass(frozen=True)
class ResultStore:
    """``folder`` has one subfolder for each run, with a record for each job and the files that jobs made, by sha256."""

    folder: Path
    run: str

    def keep(self, job: Job[Any], answer: Answer) -> None:
        """Store the result of a job."""
        names = {path: self._files.put(content, Path(path).suffix) for path, content in answer.files.items()}
        record = {"result": answer.result, "files": names, "seconds": answer.seconds, "start": answer.start_seconds}
        write_json(self._record(job), record, seal=self._seal(job), durable=False)

    def find(self, job: Job[Any]) -> Answer | None:
        """The stored result of a job, or ``None`` if there is none or it is damaged."""
        try:
            found = read_json(self._record(job), seal=self._seal(job))
            files = {path: self._files.get(name) for path, name in found["files"].items()}
        except (OSError, RunError):
            return None
        return Answer(b"", None, found["result"], found["seconds"], found["start"], files)

    @property
    def _files(self) -> Store:
        return Store(self.folder / self.run / "files")

    def _record(self, job: Job[Any]) -> Path:
        return self.folder / self.run / f"{job.key}.json"

    def _seal(self, job: Job[Any]) -> str:
        return f"{self.run}/{job.key}"
