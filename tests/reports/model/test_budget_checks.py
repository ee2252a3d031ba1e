"""Budgets: met, not met, or not proven."""

from __future__ import annotations

from litetuner.reports.model.budget_checks import check_budgets
from litetuner.reports.model.result import build_result
from tests.reports.builder import Builder


def test_the_interval_decides_between_met_and_not_proven(filled: Builder) -> None:
    """Trial 15 drops 0.83 points, 95 % interval 0.48 to 1.19."""
    for limit, verdict in (("1.5%", "met"), ("1%", "not proven"), ("0.5%", "not met")):
        record = filled.record(max_drop=limit, max_compressed_size=None, max_latency=None)
        (check,) = check_budgets(record.trial(15), record.budgets)
        assert check.verdict == verdict and check.value == "0.83 points", limit
        assert check.interval == "0.48 to 1.19 points"


def test_a_size_has_no_interval_and_what_was_not_measured_is_said(filled: Builder) -> None:
    record = filled.record(max_size="34100B", max_drop=None, max_latency=None, max_compressed_size="21kB")
    size, compressed = check_budgets(record.trial(15), record.budgets)
    assert (size.verdict, compressed.verdict, size.interval) == ("met", "not met", "")
    assert check_budgets(record.trial(34), record.budgets)[0].verdict == "not measured"


def test_a_result_checks_the_best_else_the_nearest(filled: Builder) -> None:
    assert [check.verdict for check in build_result(filled.record()).checks] == ["met", "met", "not proven"]
    blocked = build_result(filled.record(max_compressed_size="8kB"))
    assert blocked.best is None and "not met" in [check.verdict for check in blocked.checks]
