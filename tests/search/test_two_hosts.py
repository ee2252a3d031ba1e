"""This machine twice, under two names, for a microcontroller: real files and real timings."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest

from litetuner.reports.files.summary import summary
from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runs.record import RunRecord
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.jobs import TimeJob
from litetuner.search.trial import State
from tests.api.conftest import band_arrays, band_model
from tests.one_process import OneProcess

QUICK = "host?max_seconds=0.5&tolerance=0.5"  # what is tested is the way of the numbers, not their precision


class Timed(OneProcess):
    """Without workers, but timed as the executor ``local`` does it."""

    quiet = staticmethod(contextlib.nullcontext)

    def _time(self, job: TimeJob) -> dict[str, Any]:
        return Local._time(self, job).value.to_json()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    home = tmp_path_factory.mktemp("hosts")
    np.savez(home / "data.npz", **band_arrays())  # type: ignore[arg-type]
    band_model().save(home / "model.keras")  # type: ignore[attr-defined]
    values = {"model": str(home / "model.keras"), "data": str(home / "data.npz"), "out": str(home / "run")}
    values |= {"target": f"a={QUICK},b={QUICK}", "profile": "mcu", "trials": 2, "max-size": "1MB"}  # type: ignore[dict-item]
    values |= {"max-memory": "64kB", "max-latency": "b=1s", "objective": "energy_estimate_uj"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "local", Timed)
        return run_search(make_config(values)).record


def test_both_names_have_latencies_of_their_own_of_one_machine(record: RunRecord) -> None:
    for trial in record.trials:
        a, b = (trial.measurements[f"latency_us:{name}"] for name in "ab")
        assert a != b, "two measurements, not one copied"
        assert a.value / b.value == pytest.approx(1, abs=0.7)  # a busy machine; equal files differ by a percent at rest
        assert a.environment["target"] == b.environment["target"] == "host"
        assert a.extra["delegates"]["operators"] == sum(trial.operators.values())


def test_the_file_suits_a_microcontroller_and_its_memory_is_known(record: RunRecord) -> None:
    baseline, small = record.trials
    assert baseline.state is State.INFEASIBLE and "its inputs are float32, not int8" in (baseline.reason or "")
    assert small.state is State.COMPLETE and small.io_types == {"inputs": ("int8",), "outputs": ("int8",)}
    arena, memory = small.value("arena_bytes") or 0, small.value("memory_bytes") or 0
    assert 0 < arena < memory < arena + (small.value("file_bytes") or 0)
    assert arena < (baseline.value("arena_bytes") or 0), "activations of a byte instead of four"
    assert small.value("macs") == baseline.value("macs")
    assert {"max-memory", "max-latency b", "max-size"} <= set(small.constraints)


def test_the_summary_has_a_front_for_each_and_the_robust_pick(record: RunRecord) -> None:
    found = summary(record)
    assert found["fronts"] == {"a": [1], "b": [1]}
    row = found["picks"]["robust"]
    assert row["trial"] == 1 and set(row["latency_us"]) == set(row["delegates"]) == {"a", "b"}
    assert row["arena_bytes"] > 0 and row["macs"] > 0 and row["energy_estimate_uj"] > 0
    json.dumps(found, allow_nan=False)
