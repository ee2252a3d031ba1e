"""Final measurements of latency: what was disturbed more than in the search does not replace it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.measured import Measured
from litetuner.search.finals.finals import steadier
from tests.search.made_up import trial


def timing(value: float, *instability: str, **extra: Any) -> dict[str, Measurement]:
    found = Measurement(value, "us", {"target": "host"}, extra={"instability": list(instability), **extra})
    return {"latency_us:host": found, "latency_ratio:host": Measurement(100 / value, "1", {"target": "host"})}


@pytest.mark.parametrize(
    ("then", "now", "kept"),
    [
        (timing(50.0), timing(51.0), True),
        (timing(50.0, "busy"), timing(51.0), True),
        (timing(50.0), timing(75.0, "drift", "busy"), False),
        (timing(50.0, "busy"), timing(75.0, "drift", "busy"), False),
        (timing(50.0, borrowed_from={"file": "x"}), timing(75.0, "busy"), True),
        ({}, timing(75.0, "busy"), True),
    ],
)
def test_what_was_disturbed_more_does_not_replace_what_was_disturbed_less(
    then: dict[str, Measurement], now: dict[str, Measurement], kept: bool
) -> None:
    made = dataclasses.replace(trial(1, 0.0), measurements=then)
    accuracy = {"test_metric": Measurement(0.9, "accuracy", {"split": "test"})}
    found = steadier(Measured(measurements={**now, **accuracy}), made)
    assert found.measurements == (now | accuracy if kept else accuracy)
