"""Ctrl-C: once, what runs is finished and reported; twice, all stops at once; either way exit code 130 and nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from litetuner.cli import run as cli
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake", "--max-drop", "3%"]
LIMIT = 60.0  # seconds that a test waits for what takes a fraction of one

# The real command line, its fake jobs of one kind slowed down; each says so on standard error when it begins.
SLOW = """
import sys, time
from litetuner.search.runtime.executors.fake import Fake
quick = Fake.submit
def slow(self, job, log=None):
    if {kind!r} in (job.kind, getattr(job, "occasion", None)):
        sys.stderr.write("job begins\\n"); sys.stderr.flush()
        time.sleep({seconds})
    return quick(self, job, log)
Fake.submit = slow
{more}
from litetuner.cli import main
main({arguments!r})
"""

UNDISTURBED = 20  # trials of a whole search; the first training is among them


class Session:
    """A search in a process of its own."""

    def __init__(self, out: Path, kind: str = "none", seconds: float = 0.0, trials: int = 500, more: str = "") -> None:
        arguments = ["search", *FAKE, "--out", str(out), "--trials", str(trials), "--json"]
        code = SLOW.format(kind=kind, seconds=seconds, arguments=arguments, more=more)
        self.log = out.parent / "stderr.txt"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stream, text=True, start_new_session=True
            )

    def wait_for(self, seen: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not seen():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def says(self, words: str) -> Callable[[], bool]:
        return lambda: words in self.log.read_text()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, _ = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, self.log.read_text()


def told(path: Path) -> list[tuple[str, str, dict[str, float]]]:
    return [
        (trial.candidate.key, str(trial.state), {name: item.value for name, item in trial.measurements.items()})
        for trial in RunFolder(path).trials()
        if trial.state is not State.LOST
    ]


def has_trials(path: Path, count: int) -> Callable[[], bool]:
    return lambda: len(list(path.glob("trials/*/trial.json"))) >= count


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, dict[str, float]]]:
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    assert cli(["search", *FAKE, "--out", str(path), "--trials", str(UNDISTURBED)]) == 0
    return told(path)


def resume(out: Path, trials: int = UNDISTURBED) -> None:
    assert cli(["search", *FAKE, "--out", str(out), "--trials", str(trials)]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_finishes_what_runs_and_reports(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    session = Session(out)
    session.wait_for(has_trials(out, 6))
    session.interrupt(number)
    code, printed, err = session.end()
    assert code == 130
    assert "finishing what runs" in err and "stopped: interrupted" in err and "Traceback" not in err
    summary = json.loads(printed)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["best"] is not None and (out / "report.html").exists()
    assert sum(summary["counts"].values()) < 500


def test_twice_stops_at_once_and_the_folder_goes_on(
    tmp_path: Path, undisturbed: list[tuple[str, str, dict[str, float]]]
) -> None:
    out = tmp_path / "run"
    session = Session(out, kind="train", seconds=1000)
    session.wait_for(session.says("job begins"))
    before = told(out)
    session.interrupt()
    session.wait_for(session.says("Ctrl-C again"))
    started = time.monotonic()
    session.interrupt()
    code, printed, err = session.end()
    assert time.monotonic() - started < 10
    assert (code, printed) == (130, "")
    assert "interrupted; repeat the command" in err and "Traceback" not in err
    assert told(out) == before
    resume(out)
    assert told(out) == undisturbed


# Ending the workers takes long, as on a machine that is busy; or it never ends.
ENDING = """
def end(self):
    sys.stderr.write("ending\\n"); sys.stderr.flush()
    time.sleep({seconds})
    sys.stderr.write("ended\\n"); sys.stderr.flush()
Fake.close = end
"""


@pytest.mark.parametrize("kind", ["inspect", "train", "finals"])
def test_more_signals_do_not_interrupt_the_ending(tmp_path: Path, kind: str) -> None:
    trials = 6 if kind == "finals" else 500
    session = Session(tmp_path / "run", kind, 1000, trials, ENDING.format(seconds=0.5))
    session.wait_for(session.says("job begins"))
    while "ending" not in session.log.read_text():
        session.interrupt(signal.SIGTERM)
        time.sleep(0.2)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        session.interrupt(number)
        time.sleep(0.1)
    code, _, err = session.end()
    assert code == 130 and "Traceback" not in err, err
    assert ("ended" in err) == (
        kind != "finals"
    )  # whose first signal asks for the report, so that a second one ends that
    assert err.count("interrupted; repeat the command") == 1


@pytest.mark.parametrize("kind", ["inspect", "train"])
def test_an_ending_that_does_not_end_is_left(
    tmp_path: Path, kind: str, undisturbed: list[tuple[str, str, dict[str, float]]]
) -> None:
    out = tmp_path / "run"
    session = Session(out, kind=kind, seconds=1000, more=ENDING.format(seconds=1000))
    session.wait_for(session.says("job begins"))
    session.interrupt()
    if kind == "train":
        session.wait_for(session.says("Ctrl-C again"))
        session.interrupt()
    started = time.monotonic()
    code, _, err = session.end()
    assert time.monotonic() - started < 10
    assert code == 130 and "interrupted; repeat the command" in err and "Traceback" not in err
    resume(out)
    assert told(out) == undisturbed


def test_hangup_stops_at_once(tmp_path: Path, undisturbed: list[tuple[str, str, dict[str, float]]]) -> None:
    out = tmp_path / "run"
    session = Session(out, kind="train", seconds=1000)
    session.wait_for(session.says("job begins"))
    session.interrupt(signal.SIGHUP)
    code, printed, err = session.end()
    assert (code, printed) == (130, "") and "Traceback" not in err
    resume(out)
    assert told(out) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_during_the_inspection_stops_at_once(
    tmp_path: Path, undisturbed: list[tuple[str, str, dict[str, float]]], number: signal.Signals
) -> None:
    out = tmp_path / "run"
    session = Session(out, kind="inspect", seconds=1000)
    session.wait_for(session.says("job begins"))
    session.interrupt(number)
    code, printed, err = session.end()
    assert (code, printed) == (130, "")
    assert "interrupted; repeat the command" in err and "Traceback" not in err
    assert cli(["status", str(out)]) == 2
    resume(out)
    assert told(out) == undisturbed


def test_once_during_the_finals_ends_them_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "run"
    session = Session(out, kind="finals", seconds=1000, trials=6)
    session.wait_for(session.says("job begins"))
    session.interrupt()
    code, printed, err = session.end()
    assert code == 130 and "Traceback" not in err
    assert json.loads(printed)["best"] is not None and (out / "report.html").exists()
    resume(out, trials=6)
    assert json.loads((out / "finals.json").read_text())["trials"]
