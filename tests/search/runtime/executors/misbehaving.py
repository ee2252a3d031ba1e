"""A local executor whose workers misbehave on request: the process boundary is real, the handlers are stand-ins."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors.local import Local
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Job, Kind, Limits
from litetuner.spaces.jobs.record import Record

LIMITS = Limits(seconds=20, memory_bytes=4 << 30)


NOWHERE = Environment({}, "", "")


POPEN = subprocess.Popen


# A worker whose jobs misbehave on request: the process boundary is what is tested, so the handlers are stand-ins.
MISBEHAVING = """
import ctypes, os, signal, sys, time
from litetuner.search.runtime import worker
from litetuner.spaces.errors import DataError

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(60); os._exit(0)

def bomb():
    signal.alarm(30)  # if nobody ends it
    for _ in range(6):
        if os.fork() == 0:
            os.setsid(); signal.alarm(30)
    time.sleep(60)

def do(job):
    what = job["what"]
    if what == "signal": os.kill(os.getpid(), job["number"])
    if what == "segfault": ctypes.string_at(0)
    if what == "abort": os.abort()
    if what == "exit": os._exit(3)
    if what == "sys.exit": sys.exit(3)
    if what == "hang": time.sleep(1000)
    if what == "loop":
        while True: pass
    if what == "memory":
        held = []
        while True:
            held.append(bytearray(50_000_000)); time.sleep(0.02)
    if what == "raise": raise ZeroDivisionError("by design")
    if what == "usage": raise DataError("x_train holds NaN")
    if what == "print": print("noise on standard output"); sys.stdout.flush(); os.write(1, b"more noise")
    if what == "fork and exit":
        if os.fork(): os._exit(3)
        time.sleep(60); os._exit(0)
    if what == "daemon and abort": daemon(); time.sleep(0.5); os.abort()
    if what == "fork bomb": bomb()
    if what == "close all": os.closerange(3, 100); time.sleep(1000)
    if what == "fork and answer": os.fork()
    if what == "a second": time.sleep(1)
    if what == "hold": held = b"1" * job["number"]; time.sleep(1.5)
    if what == "read all": return {"pid": len(sys.stdin.read())}
    return {"pid": os.getpid()}

for role in ("score", "build"):
    worker.ROLES[role] = lambda workspace: dict.fromkeys(("score", "train"), do)
worker.main(sys.argv[1:])
"""


@contextlib.contextmanager
def stand_ins(folder: Path) -> Iterator[None]:
    """Workers that this process starts misbehave on request; targets are imported before."""
    script = folder / "misbehaving.py"
    script.write_text(textwrap.dedent(MISBEHAVING))

    class Popen(POPEN):  # type: ignore[type-arg]
        def __init__(self, arguments: list[str], **keys: object) -> None:
            worker = "litetuner.search.runtime.worker" in arguments
            super().__init__([sys.executable, str(script), *arguments[4:]] if worker else arguments, **keys)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litetuner.search.runtime.worker_process.subprocess.Popen", Popen)
        patch.setattr("litetuner.search.runtime.worker_process.PROCESSES", 32)
        yield


@contextlib.contextmanager
def misbehaving(folder: Path, **keys: object) -> Iterator[Local]:
    config = make_config({"model": "m", "data": "d", **keys})  # imports all targets, of which some name Popen
    with stand_ins(folder):
        found = Local(RunFolder(folder / "run"), config)
        yield found
        found.close()


@dataclasses.dataclass(frozen=True)
class Answer(Record):
    pid: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Misbehaving(Job[Answer]):
    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "score"
    result: ClassVar[type[Record]] = Answer
    environment: Environment = NOWHERE
    limits: Limits = LIMITS
    what: str
    number: int = 0


class MisbehavingTraining(Misbehaving):
    kind: ClassVar[Kind] = "train"
    verb: ClassVar[str] = "train"


def run(executor: Local, what: str, limits: Limits = LIMITS, number: int = 0) -> int:
    job = Misbehaving(what=what, limits=limits, number=number)
    return executor.submit(job).result(timeout=60).value.pid


def works(executor: Local) -> int:
    return run(executor, "fine")
