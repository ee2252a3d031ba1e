"""Damage to every kind of file of a run is detected or harmless. The long run of it is benchmarks/faults.py."""

from __future__ import annotations

import random

import pytest
from faults import Bench, Verdict, make_run, numbers

FAULTS = [("flip", 72), ("truncation", 24), ("swap", 48)]
SEED = 13
KINDS = {
    *("litetuner.toml", "identity.json", "inspection.json", "sensitivity.json", "studies.json", "study.db"),
    *("targets.json", "finals.json", "clock.json", "environment.json", "events.jsonl", "trials/trial.json"),
    *("artifacts/*.tflite", "cache/result.json", "cache/layers", "cache/importance.json", "trials/log.txt"),
    *(f"cache/blobs/*{suffix}" for suffix in (".json", ".npy", ".npz", ".tflite")),
    *("report.html", "trials.csv", "summary.json"),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"))


def test_every_kind_of_file_is_tried(bench: Bench) -> None:
    assert set(bench.kinds) == KINDS


@pytest.mark.parametrize(("what", "count"), FAULTS)
def test_a_fault_is_detected_or_harmless(bench: Bench, what: str, count: int) -> None:
    found: list[Verdict] = [getattr(bench, what)(random.Random(SEED * 1000 + at), at) for at in range(count)]
    assert [item for item in found if item.verdict not in ("detected", "harmless")] == []
    detected = {item.kind for item in found if item.verdict == "detected"}
    assert detected and "study.db" not in detected


RECORDS = ("identity", "inspection", "sensitivity", "studies", "targets", "finals", "clock", "environment")


@pytest.mark.parametrize("name", RECORDS)
def test_what_the_message_of_a_damaged_record_says_helps(bench: Bench, name: str) -> None:
    """Removed, and the search repeated: the same numbers."""
    (bench.run / f"{name}.json").unlink()
    try:
        make_run(bench.run)
        assert numbers(bench.run) == bench.before
        bench.resume()
        assert numbers(bench.run) == bench.after
    finally:
        bench.restore()
