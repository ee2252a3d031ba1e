"""Signals to a search with real workers in each stage: it must react soon, leave no process behind, and resume."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from fault_verdicts import Verdict
from real_kills import verdict, wrong
from real_runs import Session, make_inputs, settings, told

STAGES = ("inspect", "convert", "score", "time", "user", "train")
SIGNALS = ("TERM twice", "INT five times", "HUP", "INT once", "QUIT", "STOP CONT")
TIMES = {"once": 1, "twice": 2, "five": 5}
BETWEEN = 0.2  # seconds between one signal and the next
ANSWER = 2.0  # limit in seconds for the reaction
TRIALS = 400


def real_signals(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Interrupt one run in all stages by different signals; each case resumes the run."""
    make_inputs(work)
    cases = [
        (STAGES[(at + turn) % len(STAGES)], name) for turn in range(len(STAGES)) for at, name in enumerate(SIGNALS)
    ]
    for number, (stage, name) in list(enumerate(cases))[done:count]:
        run = work / (f"run-{number}" if stage == "inspect" else "run")  # a resumed run is inspected already
        before = told(run) if (run / "identity.json").exists() else {}
        for file in ("stderr.txt", "stdout.txt"):
            (work / file).unlink(missing_ok=True)
        session = Session(work, settings(run, TRIALS))
        if not session.wait_for(session.in_stage(stage), 600):
            session.process.kill()
            yield verdict(f"real {name}", f"{number} {stage}", [f"not reached: {session.log.read_text()[-300:]}"])
            continue
        time.sleep(random.Random(seed * 1_000_003 + number).uniform(0, 0.5))
        children, load = session.children(), psutil.getloadavg()[0]
        took, faults = answer(session, name, run)
        faults += wrong(work, run, before, children)
        faults += ["a traceback"] if "Traceback" in session.log.read_text() else []
        faults += [f"{took:.1f} s"] if took > ANSWER else []
        if stage == "inspect":
            shutil.rmtree(run, ignore_errors=True)
        what = f"{number} {stage}: {took:.1f} s, load {load:.1f}"
        yield verdict(f"real {name}", what, faults)


def answer(session: Session, name: str, run: Path) -> tuple[float, list[str]]:
    """The seconds from the last signal to the end of the process, and faults.

    After a single SIGINT, the process may finish its job: then the seconds are those until it says so.
    """
    first, *how = name.split()
    if how == ["CONT"]:
        return stopped(session, run)
    number = getattr(signal, f"SIG{first}")
    started = time.monotonic()
    for turn in range(TIMES[how[0]] if how else 1):
        time.sleep(BETWEEN if turn else 0.0)
        started = time.monotonic() if turn < 2 else started  # the second signal ends the process
        session.process.send_signal(number)
    if how == ["once"]:
        said = session.wait_for(lambda: "finishing what runs" in session.log.read_text(), 60)
        took = time.monotonic() - started
        session.process.send_signal(number)
        code = session.end()
        return took, [] if said or code == 130 else [f"it says nothing; exit code {code}"]
    code = session.end()
    expected = -signal.SIGQUIT if first == "QUIT" else 130
    return time.monotonic() - started, [] if code == expected else [f"exit code {code}"]


def stopped(session: Session, run: Path) -> tuple[float, list[str]]:
    """Stop the whole process tree for 5 s, then continue it.

    Returns the seconds until it uses CPU time again, and faults.
    """
    tree = [psutil.Process(session.process.pid), *session.children()]
    for process in tree:
        process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    seen = len(list(run.glob("trials/*/trial.json")))
    for process in reversed(tree):
        process.send_signal(signal.SIGCONT)
    used = cpu(tree)
    started = time.monotonic()
    session.wait_for(lambda: cpu(tree) > used, 60)
    took = time.monotonic() - started
    goes_on = session.wait_for(lambda: len(list(run.glob("trials/*/trial.json"))) > seen, 300)
    session.process.send_signal(signal.SIGHUP)
    session.end()
    os.sync()
    return took, [] if goes_on else ["no trial after it was stopped"]


def cpu(tree: list[psutil.Process]) -> float:
    found = 0.0
    for process in tree:
        try:
            found += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return found
