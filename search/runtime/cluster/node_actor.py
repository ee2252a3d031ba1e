"""A slot of a cluster: a Ray actor on a node, which does jobs with its own worker processes."""

import contextlib
import dataclasses
import os
import platform
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from litetuner.objectives.cluster import load_ray
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.cluster.answer import STORES, Answer, Shipment
from litetuner.search.runtime.cluster.store import ResultStore
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.runtime.jobs import JobResult, blob_names
from litetuner.search.runtime.machine import package_versions
from litetuner.search.runtime.workers import Workers, WorkerSlot
from litetuner.spaces.errors import HostError, LitetunerError, to_json
from litetuner.spaces.jobs.device import VISIBLE, Device
from litetuner.spaces.jobs.job import Job
from litetuner.spaces.jobs.safe_path import USER_FOLDERS
from litetuner.spaces.jobs.workspace import Sources
from litetuner.spaces.store import verified, write_atomic

DRIVER_SECONDS = 20.0  # after this time without a signal, the search counts as dead
LOOK_SECONDS = 2.0


class NodeSlot:
    """Ray creates it on a node. The search calls its methods over the network, several at the same time.

    All slots of a node share one folder, so that no file is sent to the node twice.
    """

    def __init__(self, shipment: Shipment) -> None:
        self._node = load_ray().get_runtime_context().get_node_id()
        self.folder = RunFolder(node_folder(f"{shipment.run}-{self._node[:12]}"))
        self.jobs = Dispatcher("litetuner jobs")  # its thread lives as long as this process, see ``WorkerProcess``
        self._unpack(shipment)
        self._workers = Workers(self.folder, self._sources(shipment), 1, _device(shipment.device))
        self._slot = WorkerSlot(self._workers)
        self._quiet, self._held = Dispatcher("litetuner quiet"), contextlib.ExitStack()
        self._heard, self._busy = awake_seconds(), False
        self._store = None if shipment.store is None else ResultStore(Path(shipment.store), shipment.run)
        if self._store is not None:
            threading.Thread(target=self._leave_alone, daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """The node's name, Ray's id of the node, and the package versions that results depend on."""
        return {"node": platform.node(), "node_id": self._node, "versions": package_versions()}

    def do(self, job: Job[Any], files: Mapping[str, Any]) -> Answer:
        """Do a job. ``files`` are Ray's references to the files that it needs, by path; missing ones are fetched."""
        log, self._busy = self.folder.path / "cache" / "logs" / f"{secrets.token_hex(8)}.txt", True
        try:
            return self._answer(job, files, log)
        finally:
            self._heard, self._busy = awake_seconds(), False

    def _answer(self, job: Job[Any], files: Mapping[str, Any], log: Path) -> Answer:
        try:
            self._fetch(files)
            done = self.jobs.submit(lambda: self.work(job, log)).result()
        except LitetunerError as error:
            return Answer(_taken(log), error=to_json(error))
        result = done.value.to_json()
        made = {path: self._read(path) for path in self._paths(result) if path not in files}
        answer = Answer(_taken(log), None, result, done.seconds, done.start_seconds, made)
        if self._store is not None:
            self._store.keep(job, answer)
        return answer

    def hear(self) -> None:
        """The search calls this regularly, to show that it is alive."""
        self._heard = awake_seconds()

    def _leave_alone(self) -> None:
        """End this slot when the search is dead and no job runs (only with a result store).

        A running job may end first: its result is stored for the next session.
        """
        while self._busy or awake_seconds() - self._heard < DRIVER_SECONDS:
            time.sleep(LOOK_SECONDS)
        self.leave()
        os._exit(0)

    def work(self, job: Job[Any], log: Path) -> JobResult[Any]:
        """Do a job with a worker process."""
        return self._slot.do(job, log)

    def suspend(self) -> None:
        """Suspend all workers until ``resume``. No worker is started meanwhile."""
        self._quiet.submit(lambda: self._held.enter_context(self._workers.quiet())).result()

    def resume(self) -> None:
        """Resume the workers."""
        self._quiet.submit(self._held.close).result()

    def leave(self) -> None:
        """End all processes and remove the node's folder."""
        self._workers.close()
        shutil.rmtree(self.folder.path, ignore_errors=True)

    def _sources(self, shipment: Shipment) -> Sources:
        """The user's files with their paths on this node. Also sets the import paths of this process."""
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
        """Fetch the files that are missing on this node, once for all of its slots."""
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
        """The paths of the files that a result names, as far as they exist here."""
        for name in dict.fromkeys(blob_names(result)):
            yield from (f"{store}/{name}" for store in STORES if self._has(f"{store}/{name}"))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the node's folder, so that only one slot of this node writes into it."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder.path / ".shipping"):
            yield


def node_folder(name: str) -> Path:
    """A folder of this node that no other user can read. Raises ``HostError`` if its parent is another user's."""
    root = Path(tempfile.gettempdir()) / f"litetuner-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise HostError(f"{root} on {platform.node()} belongs to somebody else. Remove it, or set TMPDIR for Ray.")
    return root / name


def _device(kind: str) -> Device:
    """The device that Ray has assigned to this slot."""
    return Device("gpu", tuple(os.environ[VISIBLE].split(","))) if kind == "gpu" else Device()


def _taken(log: Path) -> bytes:
    """Read a log and remove it."""
    try:
        text = log.read_bytes()
    except FileNotFoundError:
        return b""
    log.unlink()
    return text
