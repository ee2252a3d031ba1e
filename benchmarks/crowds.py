"""Parallel searches in one folder, readers during a search, and signals in every phase, with the executor ``fake``."""

import contextlib
import io
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import endings
import psutil
from fault_verdicts import Verdict

import litetuner
from litetuner.spaces.errors import LitetunerError, RunError

AT_ONCE, TRIALS = 5, 12
READERS = 8
FLAGS = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake", "--max-drop", "3%"]
PHASES = ("inspect", "train", "convert", "score", "time", "finals", "report")
SIGNALS = ("INT once", "INT twice", "TERM once", "TERM twice", "HUP", "QUIT", "STOP CONT")
ANSWER = 2.0  # limit in seconds for the reaction to a signal


def context() -> Any:
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([*endings.PRELOADED, "litetuner.cli", "litetuner.reports.html.report", "crowds"])
    return found


def command(*arguments: str, note: str = "") -> None:
    """Run ``litetuner ARGUMENTS`` in a forked process; ``note`` gets its exit code and standard error."""
    from litetuner.cli import main

    out, code = io.StringIO(), 0
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    if note:
        Path(note).write_text(f"{code} {out.getvalue()}")
    os._exit(code)


def search(path: Path, trials: int = TRIALS) -> list[str]:
    return ["search", *FLAGS, "--out", str(path), "--trials", str(trials)]


def told_alone(work: Path) -> Any:
    """The completed trials of an undisturbed search. ``work`` is emptied before."""
    calm = work / "calm"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run(context().Process(target=command, args=search(calm)))
    return endings.told(calm)


def crowd(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Start ``AT_ONCE`` searches together.

    A second search must be rejected, and the result must be that of one search.
    """
    expected = told_alone(work)
    for number in range(done, count):
        path = work / f"round-{number}"
        notes = [work / f"note-{number}-{index}" for index in range(AT_ONCE)]
        processes = [context().Process(target=command, args=search(path), kwargs={"note": str(note)}) for note in notes]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
        said = [note.read_text() if note.exists() else "no note" for note in notes]
        refused = [text for text in said if text.startswith("2 ") and "another search is running" in text]
        fine = [text for text in said if text.startswith("0 ")]
        faults = [text[:200] for text in said if text not in refused and text not in fine]
        faults += [] if fine else ["none ran"]
        faults += [] if endings.told(path) == expected else ["another result"]
        yield Verdict(
            "searches at once",
            f"{number}: {len(fine)} ran, {len(refused)} refused",
            "silent" if faults else "harmless",
            "; ".join(faults),
        )
        shutil.rmtree(path)


def run(process: BaseProcess) -> int:
    process.start()
    process.join(300)
    return -99 if process.exitcode is None else process.exitcode


def read(path: Path, kind: int, note: Path) -> None:
    """Read a run repeatedly until it has ended, and note all errors except those before the first trials."""
    looks: list[Callable[[litetuner.Run], object]] = [
        litetuner.Run.status, litetuner.Run.summary, litetuner.Run.report, litetuner.Run.best, litetuner.Run.record,
        lambda run: run.export(note.with_suffix(f".{time.monotonic_ns()}")), lambda run: run.study.trials,
        litetuner.Run.trials_dataframe,
    ]  # fmt: skip
    done, errors = 0, []
    deadline = time.monotonic() + 300
    while not (path / "done").exists() and time.monotonic() < deadline:
        started = len(list(path.glob("trials/*/trial.json"))) > 1
        try:
            looks[kind](litetuner.Run(path))
            done += 1
        except RunError as error:
            if started and "no trial within" not in str(error) and "feasible" not in str(error):
                errors.append(str(error)[:300])
        except LitetunerError as error:
            errors.append(str(error)[:300])
        except Exception as error:
            errors.append(f"internal {type(error).__name__}: {error}"[:300])
    note.write_text("\n".join([str(done), *errors]))


def readers(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Eight processes read a run in eight different ways, as fast as they can, while a search writes it."""
    for number in range(done, count):
        path, notes = work / f"read-{number}", [work / f"reader-{number}-{kind}" for kind in range(READERS)]
        shutil.rmtree(path, ignore_errors=True)
        searching = context().Process(target=command, args=search(path, 40))
        processes = [context().Process(target=read, args=(path, kind, note)) for kind, note in enumerate(notes)]
        for process in [searching, *processes]:
            process.start()
        searching.join(600)
        (path / "done").touch()
        for process in processes:
            process.join(300)  # one read may take this long on a busy machine
        yield Verdict(
            "search beside readers",
            str(number),
            "silent" if searching.exitcode else "harmless",
            f"exit code {searching.exitcode}",
        )
        for kind, note in enumerate(notes):
            done_, *errors = note.read_text().splitlines() if note.exists() else ["none", "the reader died"]
            verdict = "internal" if any("internal" in text for text in errors) else "silent" if errors else "harmless"
            yield Verdict(
                "reader", f"{number} way {kind}: {done_} looks", verdict, "; ".join(sorted(set(errors)))[:600]
            )
        shutil.rmtree(path)


def slowed(phase: str, mark: Path, arguments: list[str], note: str) -> None:
    """Run a search in which the first two jobs of a phase (or the report) are slow and create the file ``mark``."""
    from litetuner.reports.html import report
    from litetuner.search.runtime.executors.fake import Fake

    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore both signals
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    quick = Fake.submit

    slept = []

    def slow(self: Fake, job: Any, log: Path | None = None) -> Any:
        if phase in (job.kind, getattr(job, "occasion", None)) and len(slept) < 2:
            slept.append(job)
            mark.touch()
            time.sleep(1.5)
        return quick(self, job, log)

    Fake.submit = slow  # type: ignore[method-assign]
    if phase == "report":
        write = report.write_report

        def slow_report(*given: Any) -> Any:
            mark.touch()
            time.sleep(1.5)
            return write(*given)

        report.write_report = slow_report
    command(*arguments, note=note)


def signals(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Send each signal in each phase. The process must end, and the resumed run must have the same result.

    After a single SIGINT or SIGTERM, the process may finish its running job first.
    """
    expected = told_alone(work)
    cases = [
        (PHASES[(at + turn) % len(PHASES)], name) for turn in range(len(PHASES)) for at, name in enumerate(SIGNALS)
    ]
    for number, (phase, name) in list(enumerate(cases))[done:count]:
        path, mark, note = work / f"signal-{number}", work / f"mark-{number}", work / f"note-{number}"
        process = context().Process(target=slowed, args=(phase, mark, search(path), str(note)))
        process.start()
        deadline = time.monotonic() + 120
        while process.is_alive() and not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        if not process.is_alive():
            yield Verdict(
                f"signal {name}", phase, "silent", f"not reached: {note.read_text()[-300:] if note.exists() else ''}"
            )
            continue
        time.sleep(random.Random(seed * 1_000_003 + number).uniform(0, 0.3))
        took, cpu = send(process, name, path / "events.jsonl")
        said = note.read_text() if note.exists() else ""
        code, faults = process.exitcode, []
        resumed = run(context().Process(target=command, args=search(path)))
        faults += [f"does not resume: {resumed}"] if resumed else []
        faults += ["another result"] if endings.told(path) != expected else []
        faults += ["traceback"] if "Traceback" in said else []
        late = took > ANSWER
        faults += [f"answered after {took:.1f} s ({cpu:.1f} s of CPU)"] if late and name != "STOP CONT" else []
        faults += [] if code in {"QUIT": (-3,), "STOP CONT": (0,)}.get(name, (130,)) else [f"exit code {code}"]
        what = f"{took:.1f} s, load {psutil.getloadavg()[0]:.1f} {'; '.join(faults)}"
        yield Verdict(f"signal {name}", phase, "silent" if faults else "harmless", what)
        shutil.rmtree(path, ignore_errors=True)


def send(process: BaseProcess, name: str, log: Path) -> tuple[float, float]:
    """Send a signal.

    Returns the seconds until the process ends or says that it finishes its job, and its CPU seconds.
    """
    assert process.pid is not None
    first, *more = name.split()
    seen = psutil.Process(process.pid)
    used = sum(seen.cpu_times()[:2])
    started = time.monotonic()
    os.kill(process.pid, getattr(signal, f"SIG{first}"))
    if more == ["twice"]:
        time.sleep(0.2)
    if more == ["CONT"]:
        time.sleep(3)
    if more and more[0] in ("twice", "CONT"):
        started = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, getattr(signal, f"SIG{first if more == ['twice'] else 'CONT'}"))
    cpu, took = 0.0, 0.0
    while process.is_alive() and time.monotonic() < started + 60:
        with contextlib.suppress(psutil.Error):
            cpu = cpu if took else sum(seen.cpu_times()[:2]) - used
        if more == ["once"] and not took and log.exists() and "finishing what runs" in log.read_text():
            took = time.monotonic() - started
        time.sleep(0.01)
    return took or time.monotonic() - started, cpu
