"""``kill -9`` of a search with real workers in each stage, and of a report and an export during writing."""

import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import endings
from fault_verdicts import Verdict
from real_runs import Session, canaries, half, left, make_inputs, results, settings, study, told

import litetuner

STAGES = (  # for each run, the stages in which it is killed
    ("inspect", "convert", "score", "time", "user", "train", "between jobs", "train", "convert", "user"),
    ("inspect", "train", "time", "score", "between jobs", "user", "train", "convert", "score", "time"),
)
TRIALS = 30


def real_kills(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Kill each run in several stages, resume it to its end, and compare it with an undisturbed run."""
    if done < count:
        make_inputs(work)
    turns = [(run, stage) for run, stages in enumerate(STAGES) for stage in (*stages, "the end")]
    for number, (name, stage) in list(enumerate(turns))[done:count]:
        run, rng = work / f"killed-{name}", random.Random(seed * 1_000_003 + number)
        if stage == "inspect":  # a resumed run is inspected already, so start a new one
            shutil.rmtree(run, ignore_errors=True)
        before = told(run) if (run / "identity.json").exists() else {}
        session = Session(work, settings(run, TRIALS))
        if stage == "the end":
            yield verdict("real kill", f"{number} resumed", resumed(work, run, session, before))
            continue
        known = len(before)
        seen = session.in_stage(stage)
        if stage == "between jobs":
            seen = lambda run=run, known=known: len(list(run.glob("trials/*/trial.json"))) > known  # noqa: E731
        reached = session.wait_for(seen, 300)
        time.sleep(rng.uniform(0, 0.5))
        children = session.children()
        session.process.kill()
        session.process.wait()
        stage += "" if reached else " (not reached)"
        yield verdict("real kill", f"{number} {stage}", wrong(work, run, before, children))


def resumed(work: Path, run: Path, session: Session, before: dict[int, bytes]) -> list[str]:
    """Faults of a run that was killed and then resumed to its end."""
    code = session.end()
    faults = [f"exit code {code}"] if code else wrong(work, run, before, [])
    states = study(run)
    if "RUNNING" in states or len(states) != len(list(run.glob("trials/*/trial.json"))):
        faults.append(f"the study has {states}")
    return faults + compared(run, work)


def compared(run: Path, work: Path) -> list[str]:
    """Faults: candidates whose state, file or metric differ from those in an undisturbed run."""
    calm = work / "calm"
    if not (calm / "summary.json").exists():
        Session(work, settings(calm, TRIALS)).end()
    ours, theirs = results(run), results(calm)
    both = ours.keys() & theirs.keys()
    if len(both) < TRIALS // 3:
        return [f"only {len(both)} candidates in common"]
    return [f"{label}: {ours[label]} and {theirs[label]}" for label in both if ours[label] != theirs[label]]


def wrong(work: Path, run: Path, before: dict[int, bytes], children: list) -> list[str]:  # type: ignore[type-arg]
    found = [f"left behind: {name}" for name in left(children, work)]
    if not (run / "identity.json").exists():
        return found
    now = told(run)
    found += [f"trial {number} is lost or changed" for number, record in before.items() if now.get(number) != record]
    found += [f"half: {file}" for file in half(run)]
    found += [f"a secret in {file}" for file in canaries(run, work / "stderr.txt", work / "stdout.txt")]
    return found


def verdict(kind: str, what: str, faults: list[str]) -> Verdict:
    return Verdict(kind, what, "silent" if faults else "harmless", "; ".join(faults)[:500])


def write(run: Path, out: Path) -> None:
    opened = litetuner.Run(run)
    opened.report()
    opened.export(out, c_array=True)


def write_kills(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """Kill the report and export of a finished run while they are being written, then repeat both."""
    run = work / "run"
    shutil.rmtree(work, ignore_errors=True)
    endings.search(run)
    write(run, work / "whole")
    whole = contents(work / "whole")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [*endings.PRELOADED, "litetuner.reports.html.report", "litetuner.reports.export.export"]
    )
    for number in range(done, count):
        out, rng = work / f"export-{number}", random.Random(seed * 1_000_003 + number)
        process = context.Process(target=write, args=(run, out))
        process.start()
        deadline = time.monotonic() + 60
        wanted = rng.randrange(1, 7)  # number of files at which the process is killed
        while process.is_alive() and len(list(out.glob("*"))) < wanted and time.monotonic() < deadline:
            pass
        process.kill()
        process.join()
        there = sorted(file.name for file in out.glob("*"))
        faults = half(run) + [
            f"torn {name}"
            for name, data in contents(out).items()
            if data != whole.get(name) and name != "provenance.json"
        ]
        try:
            write(run, out)
            again = contents(out)
            faults += [
                f"after repeating, {name} differs"
                for name in whole
                if again.get(name) != whole[name] and name != "provenance.json"
            ]
            faults += [f"left: {file}" for place in (run, out) for file in endings.temporaries(place)]
        except Exception as error:
            faults.append(f"cannot be repeated: {type(error).__name__}: {error}")
        yield verdict("kill of an export", f"{number}, killed {process.exitcode == -9} with {there}", faults)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*") if not endings.TEMPORARY.fullmatch(file.name)}
