"""Measures the time to read, report and resume a run of N trials, and to show its report in headless Chromium.

    python benchmarks/report_speed.py RUN --trials 1000 5000 [--no-page]

RUN is any finished run folder. Its trials are repeated with other numbers and slightly different measurements until
there are N of them, so records are as large as real ones. One JSON line is printed for each N. Copies are made in a
temporary folder. Without RUN, a run with the executor ``fake`` is made. A run of this executor is also resumed by one
trial, three times: ``filled`` without a study, which is filled from the records; ``resumed`` with the study; ``budget``
under another budget, with another study.

``new`` is the first report of a folder without a cache, as at the end of a search. ``again`` is a later `litetuner
report`, with cached importance of choices and cached layers. Both have wall and processor seconds, including the start
of Python, with compiled bytecode as in an installed package. ``page`` has the wall seconds until the first plot, the
processor seconds of the page's main thread until the end of loading, and the seconds of single user actions. On a busy
machine, compare the processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder

SETTINGS: dict[str, Any] = {
    **{"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake", "sampler": "random"},
    **{"max_drop": "3%", "max_compressed_size": "60kB", "trials": 40},
}
SCRIPT = str(Path(sys.executable).with_name("litetuner"))
CHROMIUM = "/usr/bin/chromium"
TARGETS = {"render_seconds": 3.0, "first_plot_seconds": 2.0, "bytes": 8_000_000}  # for 1,000 trials; bytes for 5,000


def enlarge(run: Path, to: Path, count: int) -> None:
    """Make a copy of ``run`` with ``count`` trials, without caches. Its trials use the same artifacts."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("trials", "study.db*", "studies.json", "report.html", ".*"))
    shutil.rmtree(to / "cache" / "layers", ignore_errors=True)
    target = RunFolder(to)
    records = [json.loads(path.read_text()) for path in sorted((run / "trials").glob("*/trial.json"))]
    rng = random.Random(0)
    for number in range(count):
        record = json.loads(json.dumps(records[number % len(records)])) | {"number": number}
        if number >= len(records):
            record |= {"duplicate_of": None, "seconds_since_start": 30.0 * number}
            for name, measurement in record["measurements"].items():
                spread = 0.002 if name in ("metric", "drop") else 0.2
                measurement["value"] *= 1 + spread * (rng.random() - 0.3)
                measurement["interval"] = None if measurement["interval"] is None else [measurement["value"]] * 2
        record.pop("checksum")
        target.write(f"trials/{number:04d}/trial", record, durable=False)


def timed(arguments: list[str], bytecode: Path) -> dict[str, float]:
    """Wall and processor seconds of Python with these arguments, including its start."""
    known = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=known | {"PYTHONPYCACHEPREFIX": str(bytecode)})
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(wall, 2), "processor_seconds": round(processor, 2)}


def resume(run: Path, count: int, bytecode: Path) -> dict[str, dict[str, float]]:
    """Resume the search by one trial, three times. Empty for a run of another executor than ``fake``."""
    if RunFolder(run).config().executor != "fake":
        return {}
    found = {}
    for name, trials, keys in (("filled", 1, {}), ("resumed", 2, {}), ("budget", 3, {"max_compressed_size": "30kB"})):
        found[name] = timed([__file__, str(run), "--resume", json.dumps({"trials": count + trials} | keys)], bytecode)
    return found


def go_on(run: Path, keys: dict[str, Any]) -> None:
    known = RunFolder(run).config().model_dump(exclude_none=True) | {"out": str(run), "time_budget": None}
    run_search(make_config(known | keys))


def open_page(report: Path) -> dict[str, Any]:
    """Seconds from navigation to the first plot and to the end of loading, and the seconds of single user actions."""
    from playwright.sync_api import sync_playwright

    act = "(act => { const start = performance.now(); act(); return (performance.now() - start) / 1000; })"
    sort = "() => document.querySelectorAll('#all thead th button')[3].click()"
    choose = "() => document.querySelector('#all tbody tr:nth-child(7)').click()"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(report.as_uri())
        used = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
        first = page.evaluate("performance.getEntriesByName('first-plot')[0].startTime / 1000")
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
        found = {"first_plot_seconds": first, "load_seconds": loaded, "processor_seconds": used["TaskDuration"]}
        found["sort_seconds"] = page.evaluate(f"{act}({sort})")
        found["choose_seconds"] = page.evaluate(f"{act}({choose})")
        browser.close()
    return {name: round(value, 3) for name, value in found.items()}


def measure(given: Path, run: Path, count: int, page: bool) -> dict[str, Any]:
    enlarge(given, run, count)
    bytecode = run.parent / "bytecode"
    status, report = [SCRIPT, "status", str(run)], [SCRIPT, "report", str(run)]
    timed(report, bytecode)  # compiles the bytecode
    found: dict[str, Any] = {"trials": count, "status": timed(status, bytecode)}
    shutil.rmtree(run / "cache" / "layers", ignore_errors=True)
    (run / "cache" / "importance.json").unlink(missing_ok=True)
    found |= {"new": timed(report, bytecode), "again": timed(report, bytecode)}
    found["bytes"] = (run / "report.html").stat().st_size
    if page:
        found["page"] = open_page(run / "report.html")
    return found | resume(run, count, bytecode) | {"load_average": round(os.getloadavg()[0], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--no-page", action="store_true", help="do not open the report")
    parser.add_argument("--resume", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume is not None:
        go_on(given.run, given.resume)
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        if given.run is None:
            run_search(make_config(SETTINGS | {"out": str(made)}))
        for count in given.trials:
            found = measure(given.run or made, Path(folder) / f"run{count}", count, not given.no_page)
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
