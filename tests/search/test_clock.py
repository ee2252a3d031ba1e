"""The clock of a run: seconds by kind over all sessions, and what trials in parallel could have used."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.search.clock import Clock
from litetuner.search.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "run")
    found.create()
    return found


def test_seconds_of_sessions_with_one_and_with_four_trials_at_once(folder: RunFolder) -> None:
    clock = Clock(folder)
    clock._started -= 100
    clock.count({"train": 40.0, "score": 20.0})
    clock.save()
    assert clock.seconds()["other"] == pytest.approx(40, abs=1)
    clock = Clock(folder, parallel=4)
    clock._started -= 50
    clock.count({"train": 150.0, "time": 10.0})
    clock.save()
    seconds = Clock(folder).seconds()
    assert (seconds["train"], seconds["score"], seconds["time"]) == (190, 20, 10)
    assert seconds["wall"] == pytest.approx(150, abs=1)
    assert seconds["slots"] == pytest.approx(100 + 4 * 50, abs=4)
    assert seconds["other"] == pytest.approx(seconds["slots"] - 220, abs=1)


def test_cpu_seconds_count_this_process_and_ended_children(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    used = 10.0
    monkeypatch.setattr("litetuner.search.clock._cpu_seconds", lambda: used)
    clock = Clock(folder)
    used = 14.0
    clock.save()
    clock = Clock(folder)
    used = 15.0
    assert clock.seconds()["cpu"] == 5
