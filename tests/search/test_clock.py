"""The clock of a run: seconds by kind over all sessions, and what trials in parallel could have used."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litetuner.reports.html.sections.nodes import NodesSection
from litetuner.reports.html.sections.time import TimeSection
from litetuner.reports.model.sections.progress import find_time_use
from litetuner.search.clock import NODE, Clock
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


def test_the_longest_queues_of_all_sessions_are_kept_and_shown(folder: RunFolder) -> None:
    for queues in ({"workers": 0, "pi": 3}, {"workers": 2, "pi": 1}, {}):
        clock = Clock(folder, 2)
        clock._started -= 10
        clock.count({"train": 15.0})
        clock.longest_queues = lambda queues=queues: queues  # type: ignore[misc]
        clock.save()
    found = folder.read("clock") or {}
    assert found["queues"] == {"pi": 3, "workers": 2}
    use = find_time_use(SimpleNamespace(**found))  # type: ignore[arg-type]
    assert use is not None and use.queue_words == "3 jobs for pi, 2 jobs for workers"
    shown = TimeSection().render(SimpleNamespace(time_use=use))  # type: ignore[arg-type]
    assert shown is not None and "The longest queues: 3 jobs for pi, 2 jobs for workers." in shown.html


def test_cpu_seconds_count_this_process_and_ended_children(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    used = 10.0
    monkeypatch.setattr("litetuner.search.clock._cpu_seconds", lambda: used)
    clock = Clock(folder)
    used = 14.0
    clock.save()
    clock = Clock(folder)
    used = 15.0
    assert clock.seconds()["cpu"] == 5


def test_seconds_by_node_add_up_over_sessions_and_are_shown(folder: RunFolder) -> None:
    """What jobs took on the nodes of a cluster is no kind of work of its own."""
    clock = Clock(folder, 2)
    clock.nodes = {"first": 10.0, "second": 2.0}
    clock.count({"train": 12.0})
    clock.save()
    later = Clock(folder, 2)
    later.nodes = {"second": 3.0}
    found = later.seconds()
    assert {name: found[name] for name in found if name.startswith(NODE)} == {"node:first": 10.0, "node:second": 5.0}
    record: Any = SimpleNamespace(seconds=found, queues={})
    use = find_time_use(record)
    assert use is not None and use.nodes == (("first", 10.0), ("second", 5.0))
    assert not any("node" in name for name, _, _ in use.parts)
    shown = NodesSection().render(SimpleNamespace(time_use=use))  # type: ignore[arg-type]
    assert shown is not None and "<td>second</td>" in shown.html and "67%" in shown.html
    assert NodesSection().render(SimpleNamespace(time_use=dataclasses.replace(use, nodes=()))) is None  # type: ignore[arg-type]
