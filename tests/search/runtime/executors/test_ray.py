"""The executor ``ray`` on a cluster of three nodes of this machine, each with a folder of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from litetuner.cli import run as command_line
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cluster.answer import Shipment
from litetuner.search.runtime.cluster.node_actor import NodeSlot
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.executors.ray import Ray
from litetuner.search.trial import State
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.jobs.job import Kind, Limits
from tests.api.conftest import band_arrays, band_model
from tests.search.fakes import fake_config, fake_search
from tests.search.runtime.executors.misbehaving import Misbehaving, stand_ins

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]
pytest.importorskip("ray", reason="ray is not installed")

from tests.search.runtime.cluster.simulated import cluster, kill_raylet, simulated  # noqa: E402

OWN_METRIC = """
from helping import share

def right(y_true, y_pred):
    return share(y_true, y_pred)
"""
HELPING = """
def share(y_true, y_pred):
    return float((y_pred.argmax(axis=1) == y_true).mean())
"""


ROOT = Path(__file__).resolve().parents[4]
LONG: dict[Kind, float] = {"train": 0.6, "convert": 0.1, "score": 0.1}
NEVER_IDLE = LONG | {"convert": 0.6}  # whatever is proposed, a trial in flight is at work
APART = f"""
import json, sys
from pathlib import Path
from litetuner.search.runtime.executors import EXECUTORS
from tests.search.fakes import fake_search
from tests.search.runtime.cluster.simulated import simulated
EXECUTORS["fake"] = simulated(Path(sys.argv[1]) / "noted", {LONG})
fake_search(Path(sys.argv[1]) / "run", database=True, **json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[Any]:
    with cluster({"num_cpus": 4}, {"num_cpus": 2}, {"num_cpus": 2}) as found:
        yield found


def told(path: Path) -> dict[int, tuple[str, str, str | None, float | None]]:
    """By the number of a trial: trials in flight end in any order."""
    return {t.number: (t.candidate.key, str(t.state), t.sha256, t.value("metric")) for t in RunFolder(path).trials()}


def test_one_trial_at_a_time_gives_the_files_of_the_local_executor(
    three_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real workers, trainings and files; the metric is a module of the user's, which no node has."""
    monkeypatch.chdir(tmp_path)
    model = band_model()
    model.save("tiny.keras")  # type: ignore[attr-defined]
    np.savez("data.npz", **band_arrays())  # type: ignore[arg-type]
    Path("own.py").write_text(OWN_METRIC)
    Path("helping.py").write_text(HELPING)
    keys = "search --model tiny.keras --data data.npz --metric own:right --target fake --max-epochs 0.5 --trials 6"
    keys += " --steps prune,int8,qat"
    assert command_line([*keys.split(), "--out", "local"]) in (0, 1)
    assert command_line(
        [*keys.split(), "--out", "ray", "--executor", "ray", "--parallel", "1", "--ray-address", three_nodes.address]
    ) in (0, 1)
    assert told(Path("ray")) == told(Path("local"))
    states = Counter(state for _, state, _, _ in told(Path("ray")).values())
    assert states["COMPLETE"] + states["INFEASIBLE"] >= 3, states
    made = [sorted(path.name for path in Path(run, "artifacts").iterdir()) for run in ("local", "ray")]
    assert made[0] == made[1]
    trained = [log for log in Path("ray", "trials").glob("*/log.txt") if log.stat().st_size]
    assert trained, "what workers log on their nodes comes back"


def test_equal_jobs_are_one_job_wherever_they_run(
    three_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXECUTORS, "fake", simulated(tmp_path / "noted"))
    end = fake_search(tmp_path / "run", ray_address=three_nodes.address, trials=20)
    done = [json.loads(line) for line in (tmp_path / "noted").read_text().splitlines()]
    assert len({line["key"] for line in done}) == len(done), "a training that two trials share was done twice"
    assert len({line["node"] for line in done}) == 3, "all that the cluster has room for"
    assert all(trial.state is not State.LOST for trial in end.record.trials)


def test_a_machine_outside_of_the_cluster_searches_on_it(three_nodes: Any, tmp_path: Path) -> None:
    """``ray://``, in a process of its own: this one is connected as a part of the cluster."""
    keys = json.dumps({"ray_address": three_nodes.client, "trials": 8, "parallel": 4})
    subprocess.run([sys.executable, "-c", APART, str(tmp_path), keys], cwd=ROOT, check=True, timeout=120)
    trials = RunFolder(tmp_path / "run").trials()
    assert len(trials) == 8 and all(trial.state is not State.LOST for trial in trials)
    nodes = {json.loads(line)["node"] for line in (tmp_path / "noted").read_text().splitlines()}
    assert len(nodes) >= 2, "jobs run on the nodes of the cluster"


class MisbehavingSlot(NodeSlot):
    """A slot whose workers misbehave on request."""

    def __init__(self, shipment: Shipment) -> None:
        super().__init__(shipment)
        self._replaced = contextlib.ExitStack()
        self._replaced.enter_context(stand_ins(self.folder.path))


class MisbehavingRay(Ray):
    slot = MisbehavingSlot


@pytest.mark.parametrize(
    ("what", "limits", "reason"),
    [
        ("memory", Limits(20.0, 500_000_000), r"more than the 0\.5 GB allowed"),
        ("hang", Limits(1.0, 4 << 30), "longer than 1 s"),
        ("segfault", Limits(20.0, 4 << 30), "SIGSEGV"),
    ],
)
def test_a_job_on_a_node_fails_by_its_limits_and_the_slot_goes_on(
    three_nodes: Any, tmp_path: Path, what: str, limits: Limits, reason: str
) -> None:
    config = fake_config(tmp_path / "run", executor="ray", ray_address=three_nodes.address, parallel=1)
    executor = MisbehavingRay(RunFolder(tmp_path / "run"), config)
    try:
        before = executor.submit(Misbehaving(what="fine")).result(timeout=120)
        assert not psutil.Process(before.value.pid).children(), "a worker process on the node"
        with pytest.raises(BuildFailed, match=reason):
            executor.submit(Misbehaving(what=what, limits=limits)).result(timeout=60)
        after = executor.submit(Misbehaving(what="fine")).result(timeout=60)
        assert after.value.pid != before.value.pid and after.node == before.node
    finally:
        executor.close()


def search_and_kill(folder: Path, keys: dict[str, Any]) -> None:
    """A search in a process of its own, killed with kill -9 after four trials."""
    child = subprocess.Popen([sys.executable, "-c", APART, str(folder), json.dumps(keys)], cwd=ROOT)
    while len(list(folder.glob("run/trials/*/trial.json"))) < 4:
        assert child.poll() is None, "the search ended before it was killed"
        time.sleep(0.05)
    child.kill()
    child.wait()


def test_a_killed_search_loses_nothing_and_finds_what_its_nodes_finished(
    three_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 with several trials in flight; their jobs end on the nodes, and the folder of ``--store`` has the results."""
    run, noted = tmp_path / "run", tmp_path / "noted"
    keys = {"ray_address": three_nodes.address, "trials": 12, "store": str(tmp_path / "store"), "parallel": 4}
    search_and_kill(tmp_path, keys)
    before = told(run)
    time.sleep(3 * LONG["train"])  # what the nodes had begun ends
    monkeypatch.setitem(EXECUTORS, "fake", simulated(noted, LONG))
    end = fake_search(run, database=True, **keys)
    after = told(run)
    assert {number: after.get(number) for number in before} == before
    assert sorted(after) == list(range(len(after)))
    assert end.reason == "all 12 trials are done"
    done = [json.loads(line)["key"] for line in noted.read_text().splitlines()]
    assert len(set(done)) == len(done), "a job that was finished was done again"


def test_a_killed_search_leaves_no_process_on_its_nodes(three_nodes: Any, tmp_path: Path) -> None:
    """Without ``--store`` nobody would read what they finish."""
    run, noted = tmp_path / "run", tmp_path / "noted"
    keys = {"ray_address": three_nodes.address, "trials": 100, "parallel": 4}
    search_and_kill(tmp_path, keys)
    before, pids = told(run), {json.loads(line)["pid"] for line in noted.read_text().splitlines()}
    assert len(pids) >= 3, "several slots had jobs"
    deadline = time.monotonic() + 30
    while (living := [pid for pid in pids if psutil.pid_exists(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not living
    assert told(run) == before, "nothing writes into the run any more"


def test_a_dead_node_is_one_accident_and_its_trials_are_asked_again(
    three_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node dies with two trials. Nothing that was told is lost or told twice.

    Its processes go on for about 4 s after its raylet, so the search has to last longer.
    """
    monkeypatch.setitem(EXECUTORS, "fake", simulated(tmp_path / "noted", NEVER_IDLE))
    (large,) = [node for node in three_nodes.worker_nodes if node._ray_params.num_cpus == 4]
    kill = threading.Thread(target=kill_when, args=(large, tmp_path / "run", 5))
    kill.start()
    end = fake_search(tmp_path / "run", ray_address=three_nodes.address, trials=30)
    kill.join()
    trials = end.record.trials
    assert end.reason == "all 30 trials are done"
    assert [trial.number for trial in trials] == list(range(len(trials)))
    lost = [trial for trial in trials if trial.state is State.LOST]
    assert len(lost) == 2 and all("died" in str(trial.reason) for trial in lost)
    done = {trial.candidate.key for trial in trials if trial.state is not State.LOST}
    assert {trial.candidate.key for trial in lost} <= done, "a lost trial was not asked again"
    events = [event for event in RunFolder(tmp_path / "run").events() if event["event"] == "node lost"]
    assert len(events) == 1, events


def kill_when(node: Any, run: Path, count: int) -> None:
    """Kill a node as soon as so many trials are told."""
    while len(list(run.glob("trials/*/trial.json"))) < count:
        time.sleep(0.05)
    kill_raylet(node)
