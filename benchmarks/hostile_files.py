"""Hostile models, mutated models and hostile data. A real worker opens them under limits on memory and time."""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from fault_verdicts import Verdict
from hostile_data import DATA, TABLE
from hostile_models import MODELS, dense, h5_model, layer, sequential

from litetuner.search.runtime import worker_process
from litetuner.spaces.errors import LitetunerError, from_json
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Job, Kind, Limits
from litetuner.spaces.jobs.record import Record

LIMITS = Limits(seconds=60.0, memory_bytes=1_500_000_000)
SLACK_SECONDS = 5.0
FLATTEN = layer("Flatten", {"name": "flatten"})
EXPECTED = ("it ran out of memory", "longer than", "GB allowed", "processes, more than")  # messages of enforced limits


@dataclasses.dataclass(frozen=True)
class Nothing(Record):
    pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenJob(Job[Nothing]):
    kind: ClassVar[Kind] = "inspect"
    verb: ClassVar[str] = "open"
    result: ClassVar[type[Record]] = Nothing
    environment: Environment = Environment({}, "", "")  # noqa: RUF009 - it is frozen
    limits: Limits = LIMITS
    model: str
    data: str = ""
    trust: bool = False
    label: str | None = None


class Opener:
    """Opens files in a worker. When a file kills the worker, a new one is started for the next file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._worker: worker_process.WorkerProcess | None = None
        script = str(Path(__file__).with_name("hostile_worker.py"))
        worker_process.python_command = lambda *arguments: [sys.executable, "-P", script, *arguments[2:]]  # type: ignore[attr-defined]

    def worker(self) -> worker_process.WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self._worker = worker_process.WorkerProcess("build", self.folder / "run", self.folder / "log")
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def audit(self) -> str:
        """The files written, processes started and connections opened since the last call, as text."""
        path = self.folder / "run" / "audit.txt"
        text = path.read_text() if path.exists() else ""
        if text:
            os.truncate(path, 0)
        return text

    def judge(self, kind: str, name: str, job: OpenJob, place: Path) -> Verdict:
        secret, canary = place / "secret", place / "canary"
        self.audit()
        for file in (secret, place / "secret.h5"):
            os.utime(file, (1, 2))  # reading a file changes its access time
        worker = self.worker()  # started before the timer, so that its imports do not count
        started, verdict, said = time.monotonic(), "harmless", ""
        try:
            worker.begin(job)
            answer = worker.answer()
            if "error" in answer:
                raise from_json(answer["error"])
        except LitetunerError as error:
            said = str(error)
            fine = type(error).__name__ != "BuildFailed" or any(part in said for part in EXPECTED)
            verdict = "detected" if fine else "internal"
        seconds = time.monotonic() - started
        read = [file.name for file in (secret, place / "secret.h5") if file.exists() and file.stat().st_atime != 1]
        for wrong, what in (
            (canary.exists(), "its code ran"),
            (bool(read), f"it read {read}"),
            (bool(audit := self.audit()), audit),
            (seconds > job.limits.seconds + SLACK_SECONDS, f"{seconds:.0f} s"),
        ):
            if wrong:
                verdict, said = "silent", f"{what}: {said}"
        return Verdict(kind, name, verdict, f"{seconds:.1f} s {said[:300]}")


@contextlib.contextmanager
def place_for(folder: Path) -> Iterator[Path]:
    """A new folder with files that must not be read, and a module that must not be imported."""
    import h5py
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder))  # a new path each time, because a worker caches models by path
    (place / "secret").write_bytes(b"secret" * 100)
    with h5py.File(place / "secret.h5", "w") as file:
        file["x"] = np.ones((4, 3), np.float32)
    (place / "hostile_module.py").write_text(f"open({str(place / 'canary')!r}, 'w')")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def models(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    with contextlib.closing(Opener(work)) as opener:
        for name, make in list(MODELS.items())[done:count]:
            with place_for(work) as place:
                job = OpenJob(model=str(make(place)))
                yield opener.judge("model", name, job, place)


def mutations(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Valid files with changed bytes: ``.keras`` (mostly its members), ``.h5``, SavedModel (trusted), ``.tflite``."""
    kinds = list(_valid(work / "valid"))
    limits = dataclasses.replace(LIMITS, seconds=30.0)
    with contextlib.closing(Opener(work)) as opener:
        for index in range(done, count):
            rng, source = random.Random(seed * 1_000_003 + index), kinds[index % len(kinds)]
            with place_for(work) as place:
                path = _mutated(source, place, rng)
                job = OpenJob(model=str(path), trust=path.is_dir(), limits=limits)
                yield opener.judge(source.name, str(index), job, place)


def _valid(folder: Path) -> Iterator[Path]:
    """The paths of one small model in every file format."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        import keras
        import tensorflow as tf

        layers = keras.layers
        shape = [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
        model = keras.Sequential(shape)
        for name in ("model.keras", "model.h5"):
            model.save(folder / name)
        model.export(folder / "saved", verbose=False)
        (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
        (folder / "done").touch()
    yield from (folder / name for name in ("model.keras", "model.h5", "saved", "model.tflite"))


def _mutated(source: Path, place: Path, rng: random.Random) -> Path:
    path = place / source.name
    if source.is_dir():
        shutil.copytree(source, path)
        file = rng.choice(sorted(item for item in path.rglob("*") if item.is_file() and item.stat().st_size))
        file.write_bytes(_changed(file.read_bytes(), rng))
    elif source.suffix == ".keras" and rng.random() < 0.8:  # changes of the archive itself would be found by checksums
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            chosen = rng.choice(old.namelist())
            for name in old.namelist():
                new.writestr(name, _changed(old.read(name), rng) if name == chosen else old.read(name))
    else:
        path.write_bytes(_changed(source.read_bytes(), rng))
    return path


def _changed(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        at = rng.randrange(min(len(changed), rng.choice((256, 4096, len(changed)))))
        changed[at] = rng.choice((0, 1, 0x30, 0x39, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.05 else changed)


def data(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Hostile data: tables for a model of four numbers, other data for a model of images with 4x4 pixels."""
    with contextlib.closing(Opener(work)) as opener:
        for name, make in list(DATA.items())[done:count]:
            with place_for(work) as place:
                path = make(place)
                table = path.suffix in TABLE
                model = h5_model(
                    place,
                    json.dumps(sequential(dense()) if table else sequential(FLATTEN, dense(), shape=(None, 4, 4, 1))),
                    fill=_weights(4 if table else 16),
                )
                job = OpenJob(model=str(model), data=str(path), label="label" if table else None)
                yield opener.judge("data", name, job, place)


def _weights(inputs: int) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        import numpy as np

        group = file.create_group("model_weights")
        names = [b"d"] if inputs == 4 else [b"flatten", b"d"]
        group.attrs["layer_names"] = names
        for name in names:
            own = group.create_group(name.decode())
            own.attrs["weight_names"] = [b"d/kernel", b"d/bias"] if name == b"d" else []
        group["d/d/kernel"], group["d/d/bias"] = np.ones((inputs, 3), np.float32), np.zeros(3, np.float32)

    return fill
