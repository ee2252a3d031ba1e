"""Unusual environments: locales, missing home or temporary folders, file names, read-only folders, jumping clocks."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import endings
from fault_verdicts import Verdict
from real_runs import make_inputs

from litetuner.search.runs.record import read_run

SCRIPT = str(Path(sys.executable).with_name("litetuner"))
FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake", "--max-drop", "3%"]
LONG = 255
NAMES = {
    "unicode": "モデル-модель-é-🙂",
    "newline": "a\nb",
    "leading dash": "-rf",
    "two dashes": "--out",
    "255 bytes": "n",  # ``run_name`` and ``input_name`` make it longer
    "spaces": "  a  b ",
    "quotes": "a'b\"c$(touch canary)`touch canary`;touch canary",
    "percent": "a%41%s{}%(x)s?mode=ro#x",
    "backslash": "a\\nb",
    "escape": "a\x1b[2Jb",
    "bidi": "a\u202eb",
    "not UTF-8": "a\udcffb",
    "dot": ".hidden",
    "reserved": "CON",
}
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "locale C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "locale POSIX": {"LC_ALL": "POSIX", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "locale tr_TR": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "locale that is none": {"LC_ALL": "xx_XX.FOO"},
    "encoding latin-1": {"PYTHONIOENCODING": "latin-1"},
    "encoding ascii": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    "no HOME": {"HOME": None},
    "HOME that is missing": {"HOME": "/nowhere/at/all"},
    "no TMPDIR": {"TMPDIR": None, "TEMP": None, "TMP": None},
    "TMPDIR that is missing": {"TMPDIR": "/nowhere/at/all"},
    "no TERM": {"TERM": None},
    "a terminal of 1 column": {"COLUMNS": "1", "LINES": "1"},
    "no PATH": {"PATH": None},
    "nothing at all": dict.fromkeys(os.environ),
}  # fmt: skip


def places(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    make_inputs(work)
    cases: list[tuple[str, str, Any]] = [("environment", name, env) for name, env in ENVIRONMENTS.items()]
    cases += [("name of a run", name, text) for name, text in NAMES.items()]
    cases += [("name of a model", name, text) for name, text in NAMES.items()]
    cases += [("name of data", name, text) for name, text in NAMES.items()]
    cases += [("folder", name, name) for name in ("read-only model", "read-only working folder")]
    cases += [("clock", name, code) for name, code in CLOCKS.items()]
    for kind, name, given in cases[done:count]:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            do = {"environment": environment, "name of a run": run_name, "folder": read_only, "clock": clock}.get(
                kind, input_name
            )
            verdict, message = do(Path(folder), work, given, *([kind] if do is input_name else []))
            if list(Path(folder).rglob("canary")):
                verdict, message = "silent", f"code ran: {message}"
            yield Verdict(kind, name, verdict, message[:500])


def litetuner(
    folder: Path, arguments: list[str], env: dict[str, str | None] | None = None, plain: bool = False
) -> tuple[str, str]:
    """Run a command.

    Returns ``harmless`` if it works, ``detected`` for one clear error, else ``internal``, with a message.
    """
    changed = {name: value for name, value in (dict(os.environ) | (env or {})).items() if value is not None}
    how: dict[str, Any] = {"preexec_fn": as_others} if plain else {}
    script = [sys.executable, SCRIPT]
    done = subprocess.run(
        [*script, *arguments], cwd=folder, env=changed, capture_output=True, timeout=600, check=False, **how
    )
    said = done.stderr.decode(errors="replace")
    if done.returncode in (0, 1) and "Traceback" not in said:
        return "harmless", f"exit code {done.returncode}"
    if done.returncode in (2, 3) and "error: " in said and "Traceback" not in said and "internal" not in said:
        return "detected", said.strip().splitlines()[-1]
    return "internal", f"exit code {done.returncode}: {said[-400:]}"


def as_others() -> None:
    """Drop root's capabilities to ignore file permissions, for a started process."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def in_turn(folder: Path, *commands: list[str], env: dict[str, str | None] | None = None) -> tuple[str, str]:
    """Run several commands; the first verdict that is not ``harmless`` is returned."""
    for arguments in commands:
        verdict, message = litetuner(folder, arguments, env)
        if verdict != "harmless":
            return verdict, f"{arguments[0]}: {message}"
    return "harmless", ""


def searching(run: str) -> list[list[str]]:
    """A search with the executor ``fake``, and all commands that read the run.

    Names may begin with a dash, hence ``=``.
    """
    found = [["search", *FAKE, f"--out={run}", "--trials", "5"], ["status", "--", run], ["report", "--", run]]
    return [*found, ["export", "--out=exported", "--c-array", "--", run], ["compare", "--", run, run]]


def environment(folder: Path, work: Path, env: dict[str, str | None]) -> tuple[str, str]:
    verdict, message = in_turn(folder, *searching("é"), env=env)
    if verdict != "harmless":
        return verdict, message
    inputs = [str(work / "tiny.keras"), "--data", str(work / "data.npz")]
    return in_turn(folder, ["inspect", *inputs], env=env)  # a real worker


def run_name(folder: Path, work: Path, text: str) -> tuple[str, str]:
    return in_turn(folder, *searching(text * LONG if text == "n" else text))


def input_name(folder: Path, work: Path, text: str, kind: str) -> tuple[str, str]:
    """A real worker opens a model or data with this name."""
    suffix = ".keras" if kind == "name of a model" else ".npz"
    name = ("n" * (LONG - len(suffix)) if text == "n" else text) + suffix
    shutil.copy(work / ("tiny.keras" if suffix == ".keras" else "data.npz"), folder / name)
    if suffix == ".keras":
        return in_turn(folder, ["inspect", "--", name])
    return in_turn(folder, ["inspect", str(work / "tiny.keras"), f"--data={name}"])


def read_only(folder: Path, work: Path, what: str) -> tuple[str, str]:
    """Search with a read-only model or working folder, without root's right to write everywhere."""
    own, out = folder / "own", folder / "out"
    own.mkdir()
    out.mkdir()
    folder.chmod(0o755)
    for name in ("tiny.keras", "data.npz"):
        shutil.copy(work / name, own)
        (own / name).chmod(0o444)
    own.chmod(0o555)
    out.chmod(0o777)
    where = str(out / "run") if what == "read-only model" else "run"
    arguments = ["search", "tiny.keras", "--data", "data.npz", "--trials", "2", "--steps", "int8", f"--out={where}"]
    return litetuner(own, arguments, {"HOME": str(out)}, plain=True)


# Replaces the time of day before other imports. ``jump`` gets the true time and the number of calls so far.
JUMPING = """
import time
true, asked = time.time, [0]
def now():
    asked[0] += 1
    return jump(true(), asked[0])
time.time = now
time.time_ns = lambda: int(now() * 1e9)
def jump(seconds, count):
    return {jump}
import json, os, sys
def zone(name, seconds):
    os.environ["TZ"] = name
    time.tzset()
    return seconds
zone("Europe/Berlin", 0)
from litetuner.cli import run
run(["search", *{fake!r}, "--out", "run", "--trials", "12"])
import litetuner
r = litetuner.Run("run")
said = [r.status()]
r.study.trials
r.report()
json.dump([said, r.summary()], open("said.json", "w"))
"""
CLOCKS = {
    "forward a year every 50 looks": "seconds + 31_536_000 * (count // 50)",
    "back an hour every 50 looks": "seconds - 3600 * (count // 50)",
    "back before 1970": "-5.0 if count > 60 else seconds",
    "to and fro": "seconds + (86_400 if count % 2 else -86_400)",
    "stands still": "1_790_000_000.0",
    "2038": "2**31 - 1 + count * 0.01",
    "2106": "2.0**32 - 1 + count * 0.01",
    "end of DST": "1_792_897_195.0 + count * 0.05",  # 2026-10-25 02:59:55 in Berlin
    "start of DST": "1_774_745_995.0 + count * 0.05",  # 2026-03-29 01:59:55
    "leap second": "1_483_228_799.9 + (count % 3) * 0.4",
    "29 February": "1_709_251_195.0 + count * 0.05",
    "UTC+14": "zone('Pacific/Kiritimati', seconds)",
    "UTC-12": "zone('Etc/GMT+12', seconds)",
    "another zone at each look": "zone(['Etc/GMT+12', 'Pacific/Kiritimati', 'Asia/Kathmandu'][count % 3], seconds)",
}


def clock(folder: Path, work: Path, jump: str) -> tuple[str, str]:
    """No duration may be negative or 300 s and longer, and the result must be the same as with a correct clock."""
    code = JUMPING.format(jump=jump, fake=FAKE)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode or "Traceback" in done.stderr:
        return "internal", done.stderr[-400:]
    record, faults = read_run(folder / "run"), []
    durations = {
        f"trial {trial.number} {name}": value for trial in record.trials for name, value in trial.seconds.items()
    }
    durations |= {f"since {trial.number}": trial.seconds_since_start for trial in record.trials} | dict(record.seconds)
    said, _ = json.loads((folder / "said.json").read_text())
    durations |= {"status": said[0]["seconds"]}
    faults += [f"{name} is {value}" for name, value in durations.items() if not 0 <= value < 300]
    order = [trial.seconds_since_start for trial in record.trials]
    faults += [] if order == sorted(order) else ["trials are not in order"]
    calm = work / "calm"
    if not calm.exists():
        litetuner(work, ["search", *FAKE, "--out=calm", "--trials", "12"])
    faults += [] if endings.told(calm) == endings.told(folder / "run") else ["another result"]
    return ("silent", "; ".join(faults)) if faults else ("harmless", "")
