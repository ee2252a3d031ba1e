"""How many slots a cluster has room for, and the folder of results: without Ray."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.runtime.cluster.answer import Answer
from litetuner.search.runtime.cluster.slot_pool import Needs, count_slots
from litetuner.search.runtime.cluster.store import ResultStore
from litetuner.spaces.building.jobs import DescribeJob
from litetuner.spaces.errors import HostError
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits

GB = 1e9


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_slots_by_cores_memory_and_gpus() -> None:
    large, small = node(CPU=16, memory=64 * GB, GPU=2), node(CPU=4, memory=5 * GB)
    assert count_slots([large, small]) == (Needs(2.0), 8 + 2)
    assert count_slots([large, small], gpus=1) == (Needs(2.0, 1), 2)
    assert count_slots([node(CPU=0), node(CPU=1, memory=8 * GB)]) == (Needs(1.0), 1)
    assert count_slots([large, node(alive=False, CPU=8, memory=64 * GB)])[1] == 8
    for nodes in ([], [node(CPU=0)], [node(CPU=8, memory=1 * GB)], [node(alive=False, CPU=8, memory=64 * GB)]):
        with pytest.raises(HostError, match="no node of the Ray cluster has room"):
            count_slots(nodes)


def test_results_are_found_again_and_damaged_ones_are_not(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, "run")
    job = DescribeJob(environment=Environment({}, "", ""), limits=Limits(1.0, 1))
    assert store.find(job) is None
    answer = Answer(b"", None, {"file": "x"}, 2.0, 1.0, {"artifacts/x.tflite": b"content"})
    store.keep(job, answer)
    assert store.find(job) == answer
    assert store.find(dataclasses.replace(job, environment=Environment({}, "other", ""))) is None
    assert ResultStore(tmp_path, "another").find(job) is None
    (file,) = (tmp_path / "run" / "files").iterdir()
    file.write_bytes(b"altered")
    assert store.find(job) is None
