"""Workers of a real search die in each stage in each way. The trial must fail or be lost with the right reason.

The search must continue.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from fault_verdicts import Verdict
from real_runs import Session, canaries, half, left, make_inputs, settings

from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State, Trial

STAGES = ("convert", "score", "time", "user", "train")
WAYS = ("segfault", "abort", "exit", "SIGKILL", "loop", "memory", "fork bomb")
SECONDS, MEMORY = 45.0, 1_500_000_000  # limits of each job in this benchmark
TIME_SECONDS = 45.0  # limit of a timing: ``timeout_seconds`` of the target host
LATE = 5.0
# Texts that the recorded reason must contain, by the way in which the worker died. One of them is enough.
REASONS = {
    "segfault": ("SIGSEGV",),
    "abort": ("SIGABRT",),
    "exit": ("code 3",),
    "SIGKILL": ("SIGKILL",),
    "loop": ("longer than", "took more than"),
    "memory": ("GB allowed", "out of memory"),
    "fork bomb": ("processes, more than",),
}
MORE = """
import dataclasses
from litetuner.search.runtime import worker_process
from litetuner.objectives.targets import host
import types
command = worker_process.python_command
script = str(Path("death_worker.py").absolute())
worker_process.python_command = lambda *a: command(script, "worker", *a[2:])
host.runner = types.SimpleNamespace(__file__=script)
begun = WorkerProcess.begin
def limited(self, job):
    if job.kind in ("train", "convert", "score"):
        limits = dataclasses.replace(job.limits, seconds={seconds}, memory_bytes={memory})
        job = dataclasses.replace(job, limits=limits)
    begun(self, job)
WorkerProcess.begin = limited
"""
USER = "import sys; here = Path(__file__).parent; sys.path.append(str(here)); import death_worker;"
USER += "death_worker.maybe(here / 'plan', 'user')"


def deaths(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Run one search in which workers die in all ways in all stages.

    SIGKILL is used twice, because the first is retried. If the command is repeated, it resumes the same run with the
    remaining deaths. At the end, SIGTERM stops the search.
    """
    cases = [(way, stage) for way in WAYS for stage in STAGES][:count]
    plan, run = work / "plan", work / "run"
    if not done:
        shutil.rmtree(run, ignore_errors=True)
        for name in ("deaths.txt", "stderr.txt", "stdout.txt"):
            (work / name).unlink(missing_ok=True)
    if done > len(cases):
        return
    make_inputs(work, USER)
    shutil.copy(Path(__file__).with_name("death_worker.py"), work)
    shutil.rmtree(plan, ignore_errors=True)
    plan.mkdir()
    arguments = [*settings(run, 4000), "--target", f"host?timeout_seconds={TIME_SECONDS:g}"]
    known = len(list(run.glob("trials/*/trial.json")))
    session = Session(work, arguments, more=MORE.format(seconds=SECONDS, memory=MEMORY))
    # The first trials (baseline and the next ones) run without deaths.
    session.wait_for(lambda: len(list(run.glob("trials/*/trial.json"))) >= max(3, known + 1), 1200)
    for way, stage in cases[done:]:
        if session.process.poll() is not None:
            said = session.log.read_text()[-300:]
            yield Verdict("death", f"{way} in {stage}", "silent", f"the search ended: {said}")
            return
        yield one(session, run, plan, stage, way)
    children, load = session.children(), psutil.getloadavg()[0]
    session.process.terminate()
    time.sleep(0.2)
    started = time.monotonic()
    session.process.terminate()
    code = session.end()
    took = time.monotonic() - started
    faults = half(run) + [f"left behind: {name}" for name in left(children, work)]
    faults += [f"a secret in {file}" for file in canaries(run, work / "stderr.txt", work / "stdout.txt")]
    faults += [] if code == 130 else [f"exit code {code}"]
    what = f"SIGTERM twice: {took:.1f} s, load {load:.1f}"
    yield Verdict("death", what, "silent" if faults else "harmless", "; ".join(faults)[:500])


def one(session: Session, run: Path, plan: Path, stage: str, way: str) -> Verdict:
    log, before = plan.parent / "deaths.txt", len(list(run.glob("trials/*/trial.json")))
    deaths_before = len(lines(log))
    for number in range(2 if way == "SIGKILL" and stage != "time" else 1):
        (plan / f"{stage}-{number}-{way}").touch()
    if not session.wait_for(lambda: len(lines(log)) > deaths_before, 240):
        for file in plan.glob("*"):
            file.unlink(missing_ok=True)
        return Verdict("death", f"{way} in {stage}", "harmless", "not reached")
    began = float(lines(log)[deaths_before].split()[0])
    limit = (TIME_SECONDS if stage == "time" else SECONDS) if way == "loop" else 0.0
    found: list[Trial] = []

    def ended() -> bool:
        found[:] = [
            trial
            for trial in trials(run, before)
            if trial.state in (State.FAILED, State.LOST) and trial.duplicate_of is None
        ]
        return bool(found)

    session.wait_for(ended, 120)
    took = time.monotonic() - began
    seen = len(list(run.glob("trials/*/trial.json")))
    goes_on = session.wait_for(lambda: len(list(run.glob("trials/*/trial.json"))) > seen, 600)
    load = psutil.getloadavg()[0]
    said = found[0].reason or "" if found else "no trial failed or was lost"
    # A timing may use 80 % of the machine's memory (more than the 6 GB of ``memory``) and any number of processes, so
    # the time limit ends it.
    reasons = REASONS["loop" if stage == "time" and way in ("memory", "fork bomb") else way]
    good = goes_on and any(part in said for part in reasons)
    what = f"{found[0].state if found else ''} after {took:.1f} s, limit {limit:g} s, load {load:.1f}: {said[:200]}"
    return Verdict("death", f"{way} in {stage}", "detected" if good else "silent", what)


def trials(run: Path, first: int) -> list[Trial]:
    return [
        RunFolder(run).trial(path.parent.name)
        for path in sorted(run.glob("trials/*/trial.json"))
        if int(path.parent.name) >= first
    ]


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []
