from __future__ import annotations

import dataclasses
import io
import math
import os
import platform
import time
from typing import Any

import pytest
from rich.console import Console

from litetuner.reports.model.result import build_result
from litetuner.reports.status import BAR, find_forecast, find_status, is_early, started
from litetuner.reports.terminal.tables import nothing_feasible
from litetuner.search.trial import State


@pytest.fixture
def trials(build: Any) -> Any:
    """Ten trials, one every 30 s, of which one was lost and one repeats another."""
    for number in range(8):
        build.add("int8", drop=0.001, compressed=50_000, us=70.0 - number, artifact=False)
    build.add("qat", State.LOST, reason="killed")
    build.add("int8", duplicate_of=1, drop=0.001, compressed=50_000, us=70.0)
    return build


def test_by_time_by_trials_and_by_what_ends_first(trials: Any) -> None:
    told = trials.trials
    by_time = find_forecast(told, trials.record(time_budget="600s").config, 300.0, 300.0)
    assert (by_time.share, by_time.seconds_left, by_time.estimated) == (0.5, 300.0, False)
    assert by_time.words == "8 trials, 8 scored · 5 min 00 s left"
    config = trials.record(trials=16).config
    by_trials = find_forecast(told, config, 270.0, math.inf)
    assert (by_trials.share, by_trials.seconds_left, by_trials.estimated) == (0.5, 8 * 30.0, True)
    assert by_trials.words == "8 of 16 trials, 8 scored · about 4 min 00 s left"
    first = find_forecast(told, config, 270.0, 30.0)
    assert (first.share, first.seconds_left) == (0.9, 30.0)
    assert len(first.bar.split()[0]) == BAR and first.bar.endswith("90%")


def test_the_pace_of_parallel_trials_that_end_in_any_order(trials: Any) -> None:
    ends = [30.0 * (number + 1) for number in (3, 1, 0, 2, 7, 5, 4, 6)]
    told = [
        dataclasses.replace(trial, seconds_since_start=end) for trial, end in zip(trials.trials[:8], ends, strict=True)
    ]
    found = find_forecast(told, trials.record(trials=16).config, 240.0, math.inf)
    assert found.seconds_left == pytest.approx(8 * 30.0)


def test_nothing_to_go_by(trials: Any) -> None:
    early = find_forecast([], trials.record(trials=16).config, 3.0)
    assert early.share == 0.0 and early.seconds_left is None and "left" not in early.words
    endless = find_forecast(trials.trials, trials.record().config, 300.0, None)
    assert endless.share is None and endless.bar == ""
    over = find_forecast(trials.trials, trials.record().config, 300.0, -5.0)
    assert over.share == 1.0 and over.seconds_left == 0.0 and "left" not in over.words


def test_a_run_in_which_a_search_is_at_work(trials: Any) -> None:
    trials.folder.path.mkdir(parents=True, exist_ok=True)
    record = trials.record(trials=16)
    assert find_status(record).running is False
    trials.folder.note("opened", pid=os.getpid(), host=platform.node(), before=100.0, **started(os.getpid()))
    trials.folder.note("doing", what="qat")
    working = find_status(record)
    assert working.running is True and working.now == "qat" and "now: qat" in working.words
    trials.folder.note("stopping", reason="all 16 trials are done")
    trials.folder.note("ended")
    ended = find_status(record)
    assert ended.running is False and ended.words.endswith("all 16 trials are done") and ended.now is None


def test_parallel_trials_their_queues_and_nodes(trials: Any) -> None:
    trials.folder.path.mkdir(parents=True, exist_ok=True)
    record = trials.record()
    assert find_status(record).parallel_words == "", "one trial after the other"
    seconds = {"train": 300.0, "time": 48.0, "other": 52.0, "wall": 100.0, "slots": 400.0, "node:first": 300.0}
    found = find_status(dataclasses.replace(record, seconds=seconds, queues={"host": 3}))
    assert found.parallel_words == "4 trials at the same time, 87 % busy, longest queues: 3 jobs for host"
    written = found.to_json()
    assert (written["busy_share"], written["longest_queues"]) == (0.87, {"host": 3})
    assert written["node_seconds"] == {"first": 300.0}


@pytest.mark.parametrize(
    ("event", "running"),
    [
        ({"pid": 2**22 + 7, "host": platform.node()}, False),  # no such process
        ({"pid": os.getpid(), "host": "elsewhere"}, None),
        ({"pid": "x", "host": platform.node()}, False),
        ({"host": platform.node()}, False),
    ],
)
def test_a_search_that_was_killed_or_is_elsewhere(event: dict[str, Any], running: bool | None, trials: Any) -> None:
    trials.folder.path.mkdir(parents=True, exist_ok=True)
    trials.folder.note("opened", **event)
    found = find_status(trials.record())
    assert found.running is running and found.to_json()["running"] is running


def test_a_process_that_got_the_number_of_a_dead_one(trials: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trials.folder.path.mkdir(parents=True, exist_ok=True)
    before = started(os.getpid())["started"] - 60
    trials.folder.note("opened", pid=os.getpid(), host=platform.node(), started=before)
    assert find_status(trials.record()).running is False


@pytest.mark.parametrize("jump", [-10 * 365 * 86_400.0, -3600.0, 3600.0, 10 * 365 * 86_400.0])
def test_a_clock_that_was_set_during_the_search(jump: float, trials: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trials.folder.path.mkdir(parents=True, exist_ok=True)
    then = time.time() - jump
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: then)
        now = {"before": 100_000.0, "ticks": time.monotonic() - 20}
        trials.folder.note("opened", pid=os.getpid(), host=platform.node(), **now, **started(os.getpid()))
    found = find_status(trials.record())
    assert found.running is True and 100_020 <= found.seconds < 100_100


def test_too_early_to_tell_until_the_search_has_found_something_itself(build: Any) -> None:
    assert not is_early(build.trials)
    build.add("int8", drop=0.0, compressed=1000, us=10.0, artifact=False, origin="baseline")
    build.add("prune", drop=0.0, compressed=900, us=10.0, artifact=False, origin="recipe")
    assert is_early(build.trials)
    record = build.record(max_compressed_size="8B")
    shown = Console(width=100, file=io.StringIO(), record=True)
    shown.print(nothing_feasible(build_result(record)))
    text = shown.export_text()
    assert "Too early to tell: of 2 trials" in text and "nothing is feasible yet" in text
    build.add("int8", drop=0.0, compressed=1000, us=10.0, artifact=False, origin="sampler")
    assert not is_early(build.trials)


def test_the_final_measurements_are_no_part_of_the_bar(trials: Any) -> None:
    forecast = find_forecast(trials.trials, trials.record(trials=8).config, 270.0, math.inf)
    assert forecast.share == 1.0 and forecast.bar
    over = forecast.finished()
    assert (over.bar, over.share, over.seconds_left) == ("", None, None) and over.words.endswith("final measurements")
