"""How long ``litetuner --help`` takes compared with ``python -c pass``, measured in alternation.

python benchmarks/startup.py [--rounds 20] [--out benchmarks/results/startup.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from litetuner.objectives.environment import environment

COMMANDS = {
    "python -c pass": [sys.executable, "-P", "-c", "pass"],
    "import litetuner": [sys.executable, "-P", "-c", "import litetuner"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    commands = COMMANDS | {"litetuner --help": [str(Path(sys.executable).with_name("litetuner")), "--help"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"{name:20s} median {statistics.median(values):.3f} s, lowest {min(values):.3f} s")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"seconds": seconds, "environment": environment()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
