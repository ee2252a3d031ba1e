from __future__ import annotations

import dataclasses

from litetuner.reports.html.report import write_report
from litetuner.reports.html.sections.targets import TargetsSection
from litetuner.reports.model.report import build_report
from litetuner.search.runs.record import RunRecord


def test_one_target_needs_no_section(run_of_forty: RunRecord) -> None:
    assert build_report(run_of_forty).targets is None
    assert TargetsSection().render(build_report(run_of_forty)) is None


def test_each_target_has_its_own_front_and_every_pick_is_named(two_targets: RunRecord) -> None:
    report = build_report(two_targets)
    result, content = report.result, TargetsSection().render(report)
    assert content is not None and list(content.figures) == ["chart-target-0", "chart-target-1"]
    host, board = (content.figures[name]["pair"] for name in content.figures)
    columns = [column.name for column in result.columns]
    assert [columns[pair["x"]] for pair in (host, board)] == ["latency_us:host", "latency_us:pi"]
    assert columns[host["y"]] == columns[board["y"]] == "metric" and not host["down"]
    assert host["front"] == list(result.fronts["host"])
    assert board["front"] == list(result.fronts["pi"]) != host["front"]
    assert board["names"] == host["names"]
    named = {name for _, names in host["names"] for name in names.split(", ")}
    assert named == set(result.picks) and "robust" in named
    latencies = [x for x, _ in board["steps"]]
    assert latencies == sorted(latencies) and len(latencies) > 2, "the joined front goes from fast to good"


def test_the_robust_pick_is_explained_and_told_from_the_fastest(two_targets: RunRecord) -> None:
    found = build_report(two_targets).targets
    assert found is not None
    by_name = {name: pick for pick in found.picks for name in pick.names}
    robust, fastest = by_name["robust"], by_name["fastest"]
    assert robust.row.label == "channels0.625+qat + int8" and fastest.row.label == "ptq_wi4"
    assert [round(on.ratio or 0, 2) for on in robust.on] == [5.78, 7.34]
    assert robust.slowest is not None and robust.slowest.target == "host"
    assert found.robust == (
        "The robust pick is trial 6: at least 5.8× the baseline's speed on both targets (lowest on host). "
        "No other candidate within the budgets has a better worst target; the fastest pick, trial 7, reaches 2.1× on pi."
    )


def test_the_report_shows_latency_and_ratio_of_every_pick_on_every_target(two_targets: RunRecord) -> None:
    page = write_report(two_targets).read_text()
    section = page.partition('<section id="targets"')[2].partition("</section>")[0]
    assert '<a href="#targets">Targets</a>' in page
    for part in ("395 µs", "7.3×", "44 µs", "5.8×", "1.4 ms", "2.1×", "robust", "trial 6"):
        assert part in section, part
    assert section.count("●") == 1 + sum(
        on.on_front for pick in build_report(two_targets).targets.picks for on in pick.on
    )  # type: ignore[union-attr]


def test_a_target_that_was_not_measured_yet_is_said_to_be(two_targets: RunRecord) -> None:
    trials = tuple(
        dataclasses.replace(
            trial, measurements={name: value for name, value in trial.measurements.items() if ":pi" not in name}
        )
        for trial in two_targets.trials
    )
    report = build_report(dataclasses.replace(two_targets, trials=trials))
    content = TargetsSection().render(report)
    assert content is not None and list(content.figures) == ["chart-target-0"]
    assert "Nothing was measured on pi yet." in content.html
    assert "so there is no robust pick" in content.html


def test_nothing_within_the_budgets_still_draws_the_marks(two_targets: RunRecord) -> None:
    config = two_targets.config.model_copy(update={"max_compressed_size": "1kB"})
    trials = tuple(t for t in two_targets.trials if t.number in (0, 8, 9))  # baseline, over the drop, stopped
    report = build_report(dataclasses.replace(two_targets, config=config, trials=trials[1:]))
    content = TargetsSection().render(report)
    assert content is not None and "there is no robust pick" in content.html and "<table" not in content.html
