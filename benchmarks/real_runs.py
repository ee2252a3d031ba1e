"""Shared code of benchmarks with real workers: a small model with data and a user metric, sessions, folder checks."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.process_tree import MARK
from litetuner.search.trial import State
from litetuner.spaces.store import file_sha256

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
STEPS = "prune,qat,ptq,int8,float32,float16,dynamic,finetune"
METRIC = """
import time
from pathlib import Path

def hits(y_true, y_pred):
    Path(__file__).with_name("stage").write_text("user")
    time.sleep(0.3)
    {more}
    return float((y_pred.argmax(1) == y_true).mean())

hits.bounded = True
"""
CANARIES = {
    name: f"canary-{name.lower()}-93141" for name in ("AWS_SECRET_ACCESS_KEY", "LITETUNER_PASSWORD", "HF_TOKEN")
}


def make_inputs(folder: Path, more: str = "pass") -> None:
    """``tiny.keras`` (1,299 parameters, trained for seconds), ``data.npz`` (600 images of 6x6) and ``own_hits.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own_hits.py").write_text(METRIC.format(more=more))
    if (folder / "tiny.keras").exists():
        return
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.api.conftest import band_arrays, band_model; import numpy;"
        "a = band_arrays(); m = band_model(); m.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy']);"
        "m.fit(a['x_train'], a['y_train'], batch_size=16, epochs=15, verbose=0); numpy.savez('data.npz', **a);"
        "m.save('tiny.keras')"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent.parent)], cwd=folder, check=True)


def settings(out: Path, trials: int) -> list[str]:
    given = {
        "model": "tiny.keras",
        "data": "data.npz",
        "metric": "own_hits:hits",
        "max-drop": "5%",
        "max-epochs": "0.5",
    }
    flags = [text for name, value in given.items() for text in (f"--{name}", value)]
    return ["search", *flags, "--out", str(out), "--trials", str(trials), "--patience", "1000", "--steps", STEPS]


# Runs the real command line. It writes the running stage to a file, so that the benchmark can interrupt that stage.
DRIVER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its jobs in the background ignore both
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
from pathlib import Path
{before}
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.objectives.targets.host import Host
stage = Path("stage")
begin, run = WorkerProcess.begin, Host._run
def noted(self, job):
    stage.write_text(job.kind)
    begin(self, job)
def timed(self, *arguments):
    stage.write_text("time")
    return run(self, *arguments)
WorkerProcess.begin, Host._run = noted, timed
{more}
from litetuner.cli import main
main({arguments!r})
"""


class Session:
    """A search in a separate process, in the folder of its inputs."""

    def __init__(self, home: Path, arguments: list[str], *, before: str = "", more: str = "", **env: str) -> None:
        self.home = home
        self.stage = home / "stage"
        self.stage.unlink(missing_ok=True)
        code = DRIVER.format(arguments=arguments, before=before, more=more)
        self.log = home / "stderr.txt"
        with self.log.open("ab") as stream, (home / "stdout.txt").open("ab") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], cwd=home, stdout=printed, stderr=stream, env=os.environ | CANARIES | env,
                start_new_session=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def wait_for(self, seen: Callable[[], bool], limit: float = 180.0) -> bool:
        """Wait until ``seen()`` is true. ``False`` if the session ends before, or after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while not seen():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def in_stage(self, name: str) -> Callable[[], bool]:
        def seen() -> bool:
            with contextlib.suppress(OSError):
                return self.stage.read_text() == name
            return False

        return seen

    def children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def end(self, limit: float = 7200.0) -> int:
        return self.process.wait(limit)


def left(children: list[psutil.Process], home: Path, seconds: float = 5.0) -> list[str]:
    """Processes of a session that still run ``seconds`` after its end, including all worker processes in its folder."""
    deadline = time.monotonic() + seconds
    while True:
        found = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if MARK in process.environ() and process.environ().get("PWD", "") and process.cwd() == str(home):
                    found.append(process)
        if not found or time.monotonic() > deadline:
            return [str(process) for process in found]
        time.sleep(0.1)


def told(path: Path) -> dict[int, bytes]:
    """The current bytes of the trial records by number, without lost trials, which are not acknowledged results."""
    lost = {trial.number for trial in RunFolder(path).trials() if trial.state is State.LOST}
    found = {int(file.parent.name): file.read_bytes() for file in path.glob("trials/*/trial.json")}
    return {number: content for number, content in found.items() if number not in lost}


def half(path: Path) -> list[str]:
    """Incomplete files: records that cannot be read, and blobs whose sha256 differs from their name."""
    found, folder = [], RunFolder(path)
    for file in sorted(path.rglob("*")):
        if not file.is_file() or TEMPORARY.fullmatch(file.name):
            continue
        if file.parent.name in ("blobs", "artifacts"):
            if file_sha256(file) != file.name.partition(".")[0]:
                found.append(str(file))
        elif file.suffix == ".json" and file.name not in (
            "summary.json",
            "teacher.json",
        ):  # ``teacher.json`` has its own checksum
            try:
                folder.read(str(file.relative_to(path)).removesuffix(".json"))
            except Exception as error:
                found.append(f"{file}: {error}")
        elif file.name == "summary.json":
            json.loads(file.read_text())
    return found


def canaries(*places: Path) -> list[str]:
    """Files that contain a secret of the environment."""
    found: list[str] = []
    for place in places:
        for file in place.rglob("*") if place.is_dir() else [place]:
            if file.is_file() and any(secret.encode() in file.read_bytes() for secret in CANARIES.values()):
                found.append(str(file))
    return found


def study(path: Path) -> list[str]:
    """The states of the trials in the newest study of ``study.db``."""
    import optuna

    url = f"sqlite:///{path / 'study.db'}"
    name = optuna.get_all_study_names(url)[-1]
    return [trial.state.name for trial in optuna.load_study(study_name=name, storage=url).trials]


def results(path: Path) -> dict[str, Any]:
    """Results that do not depend on the speed of the machine: state, file and metric by candidate."""
    return {
        trial.candidate.key: (
            str(trial.state),
            trial.sha256,
            m.value if (m := trial.measurements.get("metric")) else None,
        )
        for trial in RunFolder(path).trials()
        if trial.state in (State.COMPLETE, State.INFEASIBLE)
    }
