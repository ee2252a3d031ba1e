"""Kills nodes, or the search, on a local Ray cluster with simulated jobs, and counts lost, repeated and leftover work.

    python benchmarks/ray_failures.py nodes --kills 20 --trials 200
    python benchmarks/ray_failures.py search --kills 10 --trials 80

Run it from the root of the repository: the simulated slots are those of the tests.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from litetuner.objectives.cluster import connect  # noqa: E402
from litetuner.search.runs.folder import RunFolder  # noqa: E402
from litetuner.search.runtime.executors import EXECUTORS  # noqa: E402
from tests.search.fakes import fake_search  # noqa: E402
from tests.search.runtime.cluster.simulated import cluster, kill_raylet, simulated  # noqa: E402

SECONDS = {"train": 0.5, "convert": 0.1, "score": 0.1}
NODES = [{"num_cpus": 4}, {"num_cpus": 4}, {"num_cpus": 2}]  # 5 slots: two nodes have two trials each
CHILD = """
import sys
from pathlib import Path
from litetuner.search.runtime.executors import EXECUTORS
from tests.search.fakes import fake_search
from tests.search.runtime.cluster.simulated import simulated
EXECUTORS["fake"] = simulated(Path(sys.argv[1]) / "noted", {"train": 0.5, "convert": 0.1, "score": 0.1})
end = fake_search(Path(sys.argv[1]) / "run", database=True, ray_address=sys.argv[2], trials=int(sys.argv[3]), parallel=8)
"""


def told(run: Path) -> dict[int, tuple[str, str]]:
    """The acknowledged trials, which are those with a written record: (key, state) by number."""
    return {trial.number: (trial.candidate.key, str(trial.state)) for trial in RunFolder(run).trials()}


def changed(before: list[dict[int, Any]], after: dict[int, Any]) -> int:
    """How many acknowledged trials have changed or are missing."""
    return sum(after.get(number) != was for seen in before for number, was in seen.items())


def kill_nodes(found: Any, run: Path, kills: int, trials: int, seen: list[dict[int, Any]]) -> None:
    moments = random.Random(20)
    for kill in range(kills):
        while len(list(run.glob("trials/*/trial.json"))) < (kill + 1) * trials // (kills + 1):
            time.sleep(0.1)
        seen.append(told(run))
        node = moments.choice(sorted(found.worker_nodes, key=lambda item: item.unique_id))
        cores = node._ray_params.num_cpus
        kill_raylet(node)
        found.worker_nodes.discard(node)
        found.add_node(wait=False, num_cpus=cores)


def nodes(folder: Path, kills: int, trials: int) -> dict[str, Any]:
    """Kill raylets during a search, and add a new node after each kill."""
    EXECUTORS["fake"] = simulated(folder / "noted", SECONDS)  # type: ignore[index]
    run, seen, began = folder / "run", [], time.monotonic()
    with cluster(*NODES) as found:
        connect(found.address)
        with ThreadPoolExecutor() as pool:  # only the main thread may add nodes
            searching = pool.submit(fake_search, run, ray_address=found.address, trials=trials)
            kill_nodes(found, run, kills, trials, seen)
            end = searching.result()
    events = list(RunFolder(run).events())
    return {"reason": end.reason, "kills": len(seen), "seconds": round(time.monotonic() - began)} | verdict(
        run, seen, events
    )


def verdict(run: Path, seen: list[dict[int, Any]], events: list[dict[str, Any]]) -> dict[str, Any]:
    after = told(run)
    times = Counter(event["trial"] for event in events if event["event"] == "told")
    done = {key for key, state in after.values() if state != "LOST"}
    return {
        "trials": len(after),
        "lost": sum(state == "LOST" for _, state in after.values()),
        "lost and never done": sum(state == "LOST" and key not in done for key, state in after.values()),
        "acknowledged trials that changed": changed(seen, after),
        "told twice": sum(count > 1 for count in times.values()),
        "told never, of those not lost": sum(
            state != "LOST" and number not in times for number, (_, state) in after.items()
        ),
        "events node lost": sum(event["event"] == "node lost" for event in events),
    }


def search(folder: Path, kills: int, trials: int) -> dict[str, Any]:
    """Kill the search with SIGKILL repeatedly, with 8 trials in flight. Ray must end the remaining processes."""
    run, seen, moments = folder / "run", [], random.Random(10)
    left: list[int] = []
    with cluster({"num_cpus": 8}, {"num_cpus": 8}) as found:
        command = [sys.executable, "-c", CHILD, str(folder), found.address, str(trials)]
        while len(seen) < kills:
            known = len(list(run.glob("trials/*/trial.json")))
            child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None and len(list(run.glob("trials/*/trial.json"))) < known + 3:
                time.sleep(0.05)
            time.sleep(moments.uniform(0, 1))
            if child.poll() is not None:
                break
            child.kill()
            child.wait()
            seen.append(told(run))
            left.append(still_there(folder / "noted"))
        code = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    found = {"kills": len(seen), "exit code": code, "processes left": max(left)}
    return found | verdict(run, seen, list(RunFolder(run).events()))


def still_there(noted: Path, seconds: float = 15.0) -> int:
    """How many worker processes still exist ``seconds`` after the search was killed."""
    began, pids = time.monotonic(), {json.loads(line)["pid"] for line in noted.read_text().splitlines()}
    while (living := sum(map(psutil.pid_exists, pids))) and time.monotonic() - began < seconds:
        time.sleep(0.1)
    return living


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("nodes", "search"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    print(json.dumps({"nodes": nodes, "search": search}[given.what](folder, given.kills, given.trials), indent=1))


if __name__ == "__main__":
    main()
