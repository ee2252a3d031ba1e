"""The memory that a job may use follows the machine, or the container that this process is in."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from litetuner.objectives.runner import machine as runner_machine
from litetuner.search.runtime import machine
from litetuner.search.runtime.machine import memory_bytes
from litetuner.search.runtime.worker_process import memory_limit
from litetuner.spaces.jobs.job import Limits


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    memory_bytes.cache_clear()
    yield
    memory_bytes.cache_clear()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, 16_000),
        ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/memory.max": "4000"}, 4_000),
        (
            {
                "/proc/self/cgroup": "0::/a/b",
                "/sys/fs/cgroup/a/memory.max": "3000",
                "/sys/fs/cgroup/a/b/memory.max": "max",
            },
            3_000,
        ),
        (
            {"/proc/self/cgroup": "1:cpu:/x\n4:memory:/x", "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000"},
            2_000,
        ),
        ({"/proc/self/cgroup": "4:memory:/outside", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "5000"}, 5_000),
        ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/memory.max": "9223372036854771712"}, 16_000),
    ],
)
def test_the_smallest_of_the_machine_and_its_groups(
    files: dict[str, str], found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        total = 16_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(runner_machine, "read_text", files.get)
    assert memory_bytes() == found
    assert memory_limit(Limits(1.0, 1 << 40)) == pytest.approx(0.8 * found)
    assert memory_limit(Limits(1.0, 100)) == 100


@pytest.mark.parametrize(
    ("cores", "gigabytes", "each", "expected"),
    [(8, 64, 2.0, 4), (2, 16, 2.0, 1), (2, 16, 0.9, 2), (16, 8, 1.0, 4), (1, 1, 1.0, 1), (4, 64, 0.0, 4)],
)
def test_as_many_trials_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: int, each: float, expected: int
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(machine, "memory_bytes", lambda: int(gigabytes * 1e9))
    assert machine.parallel_trials(each) == expected
