"""The target ``ray``: one timing at a time on a device, whoever asks; a device that goes away is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litetuner.objectives.cluster import connect, disconnect
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.ray import OFFERED
from litetuner.spaces.errors import ConfigError, HostError, TargetLost

pytest.importorskip("ray", reason="ray is not installed")

import itertools

from tests.search.runtime.cluster.simulated import cluster, kill_raylet


def test_what_may_be_written() -> None:
    found = find_target("ray:pi")
    assert found.name == "pi" and not found.target.on_this_machine
    assert found.target.describe() == {"kind": "ray", "device": "pi"}
    assert find_target("board=ray:pi?address=10.0.0.1:6379").name == "board"
    for wrong in ("ray", "ray:", "ray:a b", "ray:pi?adress=x"):
        with pytest.raises(ConfigError):
            find_target(wrong)


@pytest.fixture(scope="module")
def farm() -> Iterator[Any]:
    """A node that offers ``pi`` and two that offer the same ``twin``; the targets behind them compute latencies."""
    offers = {OFFERED: "pi=fake twin=fake"}
    twin = {"num_cpus": 0, "resources": {"target:twin": 1}, "env_vars": offers}
    pi = {"num_cpus": 0, "resources": {"target:pi": 1, "target:twin": 1}, "env_vars": offers}
    with cluster(pi, twin) as found:
        connect(found.address)
        yield found
        disconnect()


@pytest.mark.service
def test_a_device_of_the_cluster(farm: Any, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"1234" * 500)
    expected = find_target("fake").target.time(file, file)
    device = find_target("ray:pi").target
    assert [finding.status for finding in device.check()] == ["note"]
    timing = device.time(file, file)
    assert timing.latency_us.value == expected.latency_us.value and timing.ratio == expected.ratio
    assert timing.latency_us.environment["node"]
    with pytest.raises(HostError, match="2 devices of the Ray cluster are called twin"):
        find_target("ray:twin").target.time(file, file)
    with pytest.raises(TargetLost, match="no node of the Ray cluster offers none"):
        find_target("ray:none").target.time(file, file)
    (finding,) = find_target("ray:none").target.check()
    assert finding.status == "fails" and "litetuner worker" in finding.text


@pytest.mark.service
def test_two_timings_never_overlap(farm: Any, tmp_path: Path) -> None:
    """Six threads ask for one device at once; the device notes when it is at work."""
    import ray

    noted = tmp_path / "noted"

    def slow(device: str, *_: Any) -> dict[str, Any]:
        import time

        began = time.time()
        time.sleep(0.2)
        with open(noted, "a") as stream:
            stream.write(json.dumps([began, time.time()]) + "\n")
        return {"result": device}

    target: Any = find_target("ray:pi").target
    threads = [threading.Thread(target=target._there, args=(slow, ("pi",))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    times = sorted(json.loads(line) for line in noted.read_text().splitlines())
    assert len(times) == 6
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times)), times
    assert ray.is_initialized()


@pytest.mark.service
def test_a_device_whose_node_dies_is_lost(farm: Any, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"1234" * 500)

    def forever(device: str) -> None:
        import time

        time.sleep(600)

    (node,) = [node for node in farm.worker_nodes if "target:pi" in node._ray_params.resources]
    threading.Timer(1.0, kill_raylet, (node,)).start()
    target: Any = find_target("ray:pi").target
    with pytest.raises(TargetLost, match="the node that offers pi went away"):
        target._there(forever, ("pi",))
