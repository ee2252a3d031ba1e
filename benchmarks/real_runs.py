"""A small real model with data and a metric of the user's own, sessions with real workers, and what must hold of a folder."""

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


# The real command line; which job runs is written beside the inputs, so that somebody else can act in the middle of it.
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
    """A search in a process of its own, in the folder of its inputs."""

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
        """Until it is seen; ``False`` where the session ended before, or it took too long."""
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
    """What still runs of a session some seconds after its end: its processes, and all with a worker's mark in its folder."""
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
    """The records as they stand; those of lost trials are not acknowledged results."""
    lost = {trial.number for trial in RunFolder(path).trials() if trial.state is State.LOST}
    found = {int(file.parent.name): file.read_bytes() for file in path.glob("trials/*/trial.json")}
    return {number: content for number, content in found.items() if number not in lost}


def half(path: Path) -> list[str]:
    """Files that are not whole: records that cannot be read, blobs whose content is not their name's."""
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
        ):  # the teacher's has its own seal
            try:
                folder.read(str(file.relative_to(path)).removesuffix(".json"))
            except Exception as error:
                found.append(f"{file}: {error}")
        elif file.name == "summary.json":
            json.loads(file.read_text())
    return found


def canaries(*places: Path) -> list[str]:
    """Files in which a secret of the environment stands."""
    found: list[str] = []
    for place in places:
        for file in place.rglob("*") if place.is_dir() else [place]:
            if file.is_file() and any(secret.encode() in file.read_bytes() for secret in CANARIES.values()):
                found.append(str(file))
    return found


def study(path: Path) -> list[str]:
    """The states of the trials in ``study.db``, of its newest study."""
    import optuna

    url = f"sqlite:///{path / 'study.db'}"
    name = optuna.get_all_study_names(url)[-1]
    return [trial.state.name for trial in optuna.load_study(study_name=name, storage=url).trials]


def results(path: Path) -> dict[str, Any]:
    """What does not depend on the machine's speed: by candidate, its state, file and metric."""
    return {
        trial.candidate.key: (
            str(trial.state),
            trial.sha256,
            m.value if (m := trial.measurements.get("metric")) else None,
        )
        for trial in RunFolder(path).trials()
        if trial.state in (State.COMPLETE, State.INFEASIBLE)
    }
