"""A slot of a cluster: an actor on a node, which has jobs done by worker processes of its own."""

import contextlib
import dataclasses
import os
import platform
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from litetuner.objectives.cluster import load_ray
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.runtime.jobs import JobResult, blob_names
from litetuner.search.runtime.machine import package_versions
from litetuner.search.runtime.workers import Workers, WorkerSlot
from litetuner.spaces.errors import HostError, LitetunerError, to_json
from litetuner.spaces.jobs.job import Job
from litetuner.spaces.jobs.safe_path import USER_FOLDERS
from litetuner.spaces.jobs.workspace import Sources
from litetuner.spaces.store import verified, write_atomic

STORES = ("cache/blobs", "artifacts")  # of a run: where jobs find and leave files that are named by their sha256


@dataclasses.dataclass(frozen=True)
class Shipment:
    """What every node needs of a run, whose id is ``run``: the user's files by their path below ``user``.

    ``hidden`` are the folders of the user's modules on the machine of the search, which Ray has nodes import from.
    """

    run: str
    sources: Sources
    user: str
    files: Mapping[str, bytes]
    hidden: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a node gives for a job: its result or its error as JSON, what it logged, and the files that it made, by path."""

    log: bytes
    error: dict[str, str] | None = None
    result: dict[str, Any] | None = None
    seconds: float = 0.0
    start_seconds: float = 0.0
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


class NodeSlot:
    """Made on a node by Ray; the search calls its methods over the network, several at the same time.

    All slots of a node share a folder of the node, so that nothing is shipped to it twice.
    """

    def __init__(self, shipment: Shipment) -> None:
        self._node = load_ray().get_runtime_context().get_node_id()
        self.folder = RunFolder(node_folder(f"{shipment.run}-{self._node[:12]}"))
        self.jobs = Dispatcher("litetuner jobs")  # its thread lives as long as this process, see ``WorkerProcess``
        self._unpack(shipment)
        self._workers = Workers(self.folder, self._sources(shipment), 1)
        self._slot = WorkerSlot(self._workers)
        self._quiet, self._held = Dispatcher("litetuner quiet"), contextlib.ExitStack()

    def describe(self) -> dict[str, Any]:
        """The node's name, Ray's id of it, and the versions that its results depend on."""
        return {"node": platform.node(), "node_id": self._node, "versions": package_versions()}

    def do(self, job: Job[Any], files: Mapping[str, Any]) -> Answer:
        """Do a job; ``files`` are Ray's references to what it stands on, by path, fetched where this node lacks them."""
        log = self.folder.path / "cache" / "logs" / f"{secrets.token_hex(8)}.txt"
        try:
            self._fetch(files)
            done = self.jobs.submit(lambda: self.work(job, log)).result()
        except LitetunerError as error:
            return Answer(_taken(log), error=to_json(error))
        result = done.value.to_json()
        made = {path: self._read(path) for path in self._paths(result) if path not in files}
        return Answer(_taken(log), None, result, done.seconds, done.start_seconds, made)

    def work(self, job: Job[Any], log: Path) -> JobResult[Any]:
        """Have a job done by a worker process."""
        return self._slot.do(job, log)

    def suspend(self) -> None:
        """Stop all workers, and start none, until ``resume``."""
        self._quiet.submit(lambda: self._held.enter_context(self._workers.quiet())).result()

    def resume(self) -> None:
        """Let the workers go on."""
        self._quiet.submit(self._held.close).result()

    def leave(self) -> None:
        """End all processes and remove the node's folder."""
        self._workers.close()
        shutil.rmtree(self.folder.path, ignore_errors=True)

    def _sources(self, shipment: Shipment) -> Sources:
        """The user's files as they are on this node."""
        user = self.folder.path / "user" / shipment.user
        os.environ[USER_FOLDERS] = str(user)
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in shipment.hidden]
        model = shipment.sources.model
        return dataclasses.replace(shipment.sources, model=str(user / model) if (user / model).exists() else model)

    def _unpack(self, shipment: Shipment) -> None:
        user = self.folder.path / "user" / shipment.user
        with self._alone():
            for path, content in shipment.files.items():
                if not (user / path).exists():
                    write_atomic(user / path, content, durable=False)

    def _fetch(self, files: Mapping[str, Any]) -> None:
        """Get what is missing here, once for all slots of this node."""
        if all(self._has(path) for path in files):
            return
        with self._alone():
            for path, reference in files.items():
                if not self._has(path):
                    write_atomic(self.folder.path / path, load_ray().get(reference).tobytes(), durable=False)

    def _has(self, path: str) -> bool:
        return verified(self.folder.path / path, Path(path).stem)

    def _read(self, path: str) -> bytes:
        return (self.folder.path / path).read_bytes()

    def _paths(self, result: dict[str, Any]) -> Iterator[str]:
        """The files that a result names."""
        for name in dict.fromkeys(blob_names(result)):
            yield from (f"{store}/{name}" for store in STORES if self._has(f"{store}/{name}"))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Held by one slot of this node."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder.path / ".shipping"):
            yield


def node_folder(name: str) -> Path:
    """A folder of this node that no other user can read. Raises ``HostError`` where somebody else has made it."""
    root = Path(tempfile.gettempdir()) / f"litetuner-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise HostError(f"{root} on {platform.node()} belongs to somebody else. Remove it, or set TMPDIR for Ray.")
    return root / name


def _taken(log: Path) -> bytes:
    """What a log holds; it is removed."""
    try:
        text = log.read_bytes()
    except FileNotFoundError:
        return b""
    log.unlink()
    return text
