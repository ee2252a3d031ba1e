"""A Ray cluster on this machine, and a search on it whose jobs are simulated on the nodes and take replayed seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil

from litetuner.objectives.cluster import load_ray
from litetuner.search.runtime.cluster.answer import Shipment
from litetuner.search.runtime.cluster.node_actor import NodeSlot
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.executors.fake import Fake
from litetuner.search.runtime.executors.ray import Ray
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.jobs.job import Job, Kind
from tests.search.fakes import fake_config

ROOT = Path(__file__).resolve().parents[4]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0", "RAY_prestart_worker_first_driver": "0"}


class SimulatedSlot(NodeSlot):
    """Fake jobs that take the seconds of their kind; each is noted in a file that the test reads."""

    seconds: ClassVar[dict[Kind, float]] = {"train": 0.2, "convert": 0.02, "score": 0.02}
    noted: ClassVar[str] = ""

    def __init__(self, shipment: Shipment) -> None:
        super().__init__(shipment)
        self._fake = Fake(self.folder, fake_config(self.folder.path))

    def work(self, job: Job[Any], log: Path) -> JobResult[Any]:
        began = time.time()
        found = self._fake.submit(job).result()
        time.sleep(self.seconds.get(job.kind, 0.0))
        if self.noted:
            line = {
                "key": job.key,
                "verb": job.verb,
                "node": self._node,
                "pid": os.getpid(),
                "times": [began, time.time()],
            }
            with open(self.noted, "a") as file:
                file.write(json.dumps(line) + "\n")
        return dataclasses.replace(found, seconds=time.time() - began)


class SimulatedRay(Ray):
    """The executor ``ray`` with such slots."""

    name = "fake"
    simulated = True
    slot = SimulatedSlot

    def make_here(self) -> Executor:
        return Fake(self.folder, self.config)


def simulated(noted: Path, seconds: Mapping[Kind, float] = SimulatedSlot.seconds) -> type[Executor]:
    """The executor with jobs that take such seconds, and are noted in a file."""
    ray = load_ray()
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nodes cannot import the tests
    slot = type("Slot", (SimulatedSlot,), {"seconds": dict(seconds), "noted": str(noted), "__module__": __name__})
    return type("Executor", (SimulatedRay,), {"slot": slot})


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens at. Ray gives its workers those from 10002 to 19999."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def cluster(*nodes: Mapping[str, Any]) -> Iterator[Any]:
    """A head without cores, and nodes (keywords of ``Cluster.add_node``). The head also serves ``ray://`` at ``client``."""
    path = os.environ.get("PYTHONPATH", "")
    # What a search sends by ``ray://`` the cluster pickles again, then by the name of its module.
    os.environ.update(QUIET, PYTHONPATH=os.pathsep.join(filter(None, (path, str(ROOT)))))
    load_ray()
    from ray.cluster_utils import Cluster

    # Ray 2.60 serves ``ray://`` only where it is told the port of its other agent.
    ports = dict(zip(("ray_client_server_port", "runtime_env_agent_port"), free_ports(2), strict=True))
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **ports})
    found.client = f"ray://127.0.0.1:{ports['ray_client_server_port']}"
    try:
        for keywords in nodes:
            found.add_node(**keywords)
        found.wait_for_nodes()
        yield found
    finally:
        load_ray().shutdown()
        found.shutdown()
        os.environ["PYTHONPATH"] = path


def kill_raylet(node: Any) -> None:
    """End a node as a power cut does: its raylet dies at once, and with it what it has started."""
    raylet = node.all_processes["raylet"][0].process
    psutil.Process(raylet.pid).kill()
