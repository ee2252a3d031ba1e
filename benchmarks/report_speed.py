"""How long a report takes: `litetuner report` on a run of N trials, and its first plot in headless Chromium.

    python benchmarks/report_speed.py RUN --trials 1000 5000

RUN is any finished run folder: its trials are repeated with other numbers and slightly other measurements until there are
N of them, so records are as large as real ones. Prints one JSON line for each N. Copies go to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
TARGETS = {"render_seconds": 3.0, "first_plot_seconds": 2.0, "bytes": 8_000_000}  # at 1,000 trials; bytes at 5,000


def enlarge(run: Path, to: Path, count: int) -> None:
    """A copy of ``run`` with ``count`` trials; artifacts are shared, nothing is cached."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("cache", "trials", "study.db*", "report.html", ".*"))
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
        folder = to / "trials" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(json.dumps(record))


def render(run: Path) -> float:
    """Wall seconds of the command, start of Python included."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("litetuner")), "report", str(run)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def open_page(report: Path) -> dict[str, Any]:
    """Seconds from navigation to the first plot that is drawn, and to the end of loading; and how long single acts take."""
    from playwright.sync_api import sync_playwright

    act = "(act => { const start = performance.now(); act(); return (performance.now() - start) / 1000; })"
    sort = "() => document.querySelectorAll('#all thead th button')[3].click()"
    choose = "() => document.querySelector('#all tbody tr:nth-child(7)').click()"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.goto(report.as_uri())
        first = page.evaluate("performance.getEntriesByName('first-plot')[0].startTime / 1000")
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
        found = {"first_plot_seconds": first, "load_seconds": loaded}
        found["sort_seconds"] = page.evaluate(f"{act}({sort})")
        found["choose_seconds"] = page.evaluate(f"{act}({choose})")
        browser.close()
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 5000])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for count in given.trials:
            run = Path(folder) / f"run{count}"
            enlarge(given.run, run, count)
            seconds = [round(render(run), 2) for _ in range(2)]
            report = run / "report.html"
            found = {"trials": count, "render_seconds": seconds, "bytes": report.stat().st_size}
            print(json.dumps(found | open_page(report) | {"load_average": os.getloadavg()[0]}), flush=True)


if __name__ == "__main__":
    main()
