from __future__ import annotations

import json
from typing import Any

from litetuner.reports.html.report import write_report
from litetuner.reports.model.report import build_report
from litetuner.reports.model.sections.ablation import among_trials
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps import STEPS


def steps(*named: tuple[str, dict[str, Any]]) -> Candidate:
    return Candidate(tuple(STEPS[name](**knobs) for name, knobs in named))


def fill(build: Any) -> Any:
    build.add("float32", drop=0.0, compressed=100_000, us=200.0)
    prune, cluster = ("prune", {"sparsity": 0.7}), ("cluster", {"count": 16})
    qat = {"preserve_sparsity": True, "preserve_clusters": True}
    recipes = [
        (prune, ("cluster", {"count": 16, "preserve_sparsity": True}), ("qat", qat), ("int8", {}), ("slim", {})),
        (cluster, ("qat", {"preserve_clusters": True}), ("int8", {}), ("slim", {})),  # without prune
        (("cluster", {"count": 32}), ("qat", {"preserve_clusters": True}), ("int8", {})),  # other clusters
        (
            prune,
            ("qat", {"preserve_sparsity": True, "epochs": 9.0}),
            ("int8", {}),
            ("slim", {}),
        ),  # without cluster, long
        (prune, ("qat", {"preserve_sparsity": True}), ("int8", {}), ("slim", {})),  # without cluster
        (prune, cluster, ("qat", qat), ("float32", {}), ("slim", {})),  # without int8
    ]
    for k, recipe in enumerate(recipes):
        build.add("x", candidate=steps(*recipe), drop=0.005 - k / 2000, compressed=20_000 + 3000 * k, us=80.0 + k)
    return build


def ablation_of(record: Any) -> Any:
    found = build_report(record).ablation
    return () if found is None else found.steps


def test_the_winner_without_each_step_is_found_among_the_trials(build: Any) -> None:
    trials = fill(build).trials
    found = among_trials(trials[1], trials, "compressed_bytes", "latency_us:host")
    assert [(item.without, item.trial) for item in found] == [("prune", 2), ("cluster", 5), ("int8", 6)]
    assert all(item.same_training for item in found)
    assert (found[0].size_bytes, found[0].latency_us) == (23_000, 81.0)
    assert among_trials(trials[3], trials, "compressed_bytes", "latency_us:host") == ()


def test_without_the_like_training_another_one_is_taken_and_said_to_be_so(build: Any) -> None:
    trials = [trial for trial in fill(build).trials if trial.number != 5]
    found = {item.without: item for item in among_trials(trials[1], trials, "compressed_bytes", "latency_us:host")}
    assert found["cluster"].trial == 4 and not found["cluster"].same_training


def test_what_the_finals_measured_comes_first(build: Any) -> None:
    record = fill(build).record()
    assert len(ablation_of(record)) == 3
    measured = {"label": "qat+int8", "without": "prune", "metric": 0.87, "compressed_bytes": 30_000, "latency_us": 78.5}
    record.folder.write("finals", {"trials": {}, "ablation": {"steps": [measured]}})
    (item,) = ablation_of(record)
    assert (item.without, item.label, item.metric, item.size_bytes, item.latency_us) == tuple(
        measured[name] for name in ("without", "label", "metric", "compressed_bytes", "latency_us")
    )
    text = write_report(record).read_text()
    assert "What each step contributes" in text and "78.5 µs" in text


def test_all_numbers_of_the_page_are_those_of_the_rows(record: Any) -> None:
    from litetuner.reports.html.trial_data import trial_data
    from litetuner.reports.text.formatting import latency, number, points, size

    report = build_report(record)
    data = json.loads(json.dumps(trial_data(report)))
    at = {column.name: c for c, column in enumerate(report.result.columns)}
    for i, row in enumerate(report.result.rows.values()):
        for name, value, show in (
            ("metric", row.metric, number),
            ("drop", row.drop, points),
            ("compressed_bytes", row.compressed_bytes, size),
            ("file_bytes", row.file_bytes, size),
            ("latency_us:host", row.latency_us["host"], latency),
        ):
            assert data["texts"][at[name]][i] == (None if value is None else show(value))
