"""Time in which the process was stopped counts for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.search.clock import Clock
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime import awake
from litetuner.search.runtime.awake import GAP_SECONDS, PERIOD_SECONDS, AwakeClock


class Time:
    """A clock that is set by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_gap_between_ticks_is_not_counted_and_a_late_tick_is() -> None:
    now = Time()
    clock = AwakeClock(now)
    started = clock.tick()
    for step, total in (
        (PERIOD_SECONDS, 0.5),
        (GAP_SECONDS, 2.5),
        (3600.0, 2.5),
        (0.25, 2.75),
        (GAP_SECONDS + 0.1, 2.75),
    ):
        now.seconds += step
        assert clock.tick() - started == pytest.approx(total)


def test_a_stopped_tree_uses_up_no_time_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = Time()
    stopping = AwakeClock(now)
    monkeypatch.setattr(awake, "_clock", lambda: stopping)
    folder = RunFolder(tmp_path / "run")
    folder.create()
    clock = Clock(folder)
    now.seconds += 1.0
    assert clock.wall == pytest.approx(1.0)
    now.seconds += 7200.0  # the lid was closed
    assert clock.wall == pytest.approx(1.0)
    clock.save()
    assert Clock(folder).seconds()["wall"] == pytest.approx(1.0)
