"""How long litetuner needs to report typical mistakes: seconds, CPU seconds and the message, each in a new process.

    python benchmarks/mistakes.py [--markdown]

The mistakes are those of ``tests/api/test_mistakes.py``, which tests the messages. Seconds are for the whole command,
including the start of Python. On a busy machine, CPU seconds show what an idle machine would need.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from typical_mistakes import MISTAKES, make_files

REPEATS = 3


def main() -> None:
    markdown = "--markdown" in sys.argv
    if markdown:
        print("| mistake | seconds | CPU | what is said |\n|---|---|---|---|")
    slowest = most = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        for mistake in MISTAKES:
            seconds, cpu, text = timed(folder, mistake.command)
            slowest, most = max(slowest, seconds), max(most, cpu)
            text = text.removeprefix("error: ").replace(str(folder), ".").replace("|", "\\|")
            plain = f"{seconds:6.2f} s {cpu:6.2f} s CPU  {mistake.shown}\n          {text}"
            print(f"| `{mistake.shown}` | {seconds:.2f} | {cpu:.2f} | {text} |" if markdown else plain, flush=True)
    print(f"\n{len(MISTAKES)} mistakes, the slowest {slowest:.2f} s, {most:.2f} s CPU (medians of {REPEATS})")


def timed(folder: Path, command: tuple[str, ...]) -> tuple[float, float, str]:
    """Median seconds and CPU seconds of a command, and the last line of its standard error."""
    walls, cpus, text = [], [], ""
    for _ in range(REPEATS):
        began, used = time.perf_counter(), cpu_of_children()
        done = subprocess.run(
            [Path(sys.executable).with_name("litetuner"), *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        walls.append(time.perf_counter() - began)
        cpus.append(cpu_of_children() - used)
        text = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "(nothing)"
    return statistics.median(walls), statistics.median(cpus), text


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
