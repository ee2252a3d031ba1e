"""A search with real workers on a disk that becomes full, repeated with more space until the search can finish."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
from fault_verdicts import Verdict
from real_kills import wrong
from real_runs import Session, make_inputs, settings, told

TRIALS = 14
FIRST = 24  # size of the first disk in kB
GROWTH = 1.6  # factor from each disk size to the next


def disks(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """The disk is a tmpfs, so this needs root. Every second session also has its temporary files there.

    A benchmark that was stopped starts again, because its disk is gone. One that has finished does nothing.
    """
    if (work / "ended").exists():
        return
    make_inputs(work)
    disk, size = work / "disk", FIRST
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=True)
    try:
        for number in range(count):
            run = disk / "run"
            before = told(run) if (run / "identity.json").exists() else {}
            env = {"TMPDIR": str(disk)} if number % 2 else {}
            (work / "stderr.txt").unlink(missing_ok=True)
            session = Session(work, settings(run, TRIALS), **env)
            children: list[psutil.Process] = []
            while session.process.poll() is None:
                children = session.children() or children
                session.wait_for(lambda: False, 1)
            code, said = session.end(), (work / "stderr.txt").read_text()
            faults = wrong(work, run, before, children)
            named = str(disk) in said and "repeat the command" in said.lower()
            if code not in (0, 3) or "Traceback" in said or (code == 3 and not named):
                faults.append(f"exit code {code}: {said[-400:]}")
            verdict = "silent" if faults else "detected" if code else "harmless"
            kept = len(list(run.glob("trials/*/trial.json")))
            yield Verdict(
                "full disk",
                f"{size} kB, {kept} trials",
                verdict,
                "; ".join(faults) or said.strip().splitlines()[-1][:300],
            )
            if code == 0:
                (work / "ended").touch()
                return
            size = int(size * GROWTH)
            for file in disk.iterdir():  # temporary files that a killed process left behind
                if file.name != "run":
                    subprocess.run(["rm", "-rf", str(file)], check=True)
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
    finally:
        subprocess.run(["umount", str(disk)], check=False)
        os.sync()
