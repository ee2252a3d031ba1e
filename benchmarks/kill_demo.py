"""kill -9 of the real demo at random moments: no completed trial is lost or changed, and no child process remains.

python benchmarks/kill_demo.py FOLDER [--kills 3] [--seed 0] [--out benchmarks/results/kill_demo.json]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil

from litetuner.objectives.environment import environment


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("litetuner")), "demo", "--out", str(folder)]
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream)


def told(folder: Path) -> dict[str, str]:
    """The current text of all trial records by trial."""
    return {path.parent.name: path.read_text() for path in sorted(folder.glob("trials/*/trial.json"))}


def study_states(folder: Path) -> list[str]:
    import optuna

    url = f"sqlite:///{folder / 'study.db'}"
    (name,) = optuna.get_all_study_names(url)
    return [trial.state.name for trial in optuna.load_study(study_name=name, storage=url).trials]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder, moments = options.folder / "demo", random.Random(options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    log, kept, kills = options.folder / "log.txt", {}, []
    for _ in range(options.kills):
        known = len(told(folder))
        process = start(folder, log)
        while len(told(folder)) <= known + 1:
            if process.poll() is not None:
                raise SystemExit(f"the demo ended before it could be killed; see {log}")
            time.sleep(0.1)
        time.sleep(moments.uniform(0, 15))
        children = psutil.Process(process.pid).children(recursive=True)
        states = [child.status() for child in children]
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=5)
        kept_now = told(folder)
        changed = [name for name, record in kept.items() if kept_now.get(name) != record]
        kept = kept_now
        kills.append({"told": len(kept_now), "children": states, "left_behind": len(alive), "changed": changed})
        print(
            f"killed with {len(kept_now)} told, children {states}: {len(alive)} left behind, {len(changed)} records changed"
        )
    code = start(folder, log).wait()
    final = told(folder)
    changed = [name for name, record in kept.items() if final.get(name) != record]
    states = study_states(folder)
    records = [json.loads(record) for record in final.values()]
    numbers = [record["number"] for record in records]
    once = numbers == list(range(len(numbers))) and len(states) == len(numbers) and "RUNNING" not in states
    keys = [record["key"] for record in records if record["state"] != "LOST" and record["duplicate_of"] is None]
    result = {
        "exit": code,
        "trials": len(final),
        "changed": changed,
        "each_told_once": once,
        "none_twice": len(keys) == len(set(keys)),
    }
    print(result)
    if options.out:
        options.out.write_text(
            json.dumps({"kills": kills, "end": result, "environment": environment()}, indent=1) + "\n"
        )
    good = (
        code == 0 and not changed and once and result["none_twice"] and not any(kill["left_behind"] for kill in kills)
    )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
