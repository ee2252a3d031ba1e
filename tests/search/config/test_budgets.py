from __future__ import annotations

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import BudgetTexts, allowed_drop, parse_budgets, violations
from litetuner.spaces.errors import ConfigError


def budgets(**keys: object):  # type: ignore[no-untyped-def]
    others = {"direction": "maximize", "targets": ("host", "pi"), **keys}
    others["targets"] = {
        name: ("latency_us", "sram_bytes", "flash_bytes")[: 3 if name == "u55" else 1] for name in others["targets"]
    }
    texts = {name: others.pop(name) for name in keys if name not in ("direction", "targets", "memory")}
    return parse_budgets(BudgetTexts(**texts), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "measurement", "value", "violation"),
    [
        ({"max_compressed_size": "60kB"}, "compressed_bytes", 75_000, 0.25),
        ({"max_compressed_size": "60kB"}, "compressed_bytes", 60_000, 0.0),
        ({"max_latency": ("2ms",)}, "latency_us:host", 1000, -0.5),
        ({"max_latency": ("pi=2ms",)}, "latency_us:pi", 3000, 0.5),
        ({"max_drop": "1%"}, "drop", 0.02, 1.0),
        ({"min_metric": 0.8}, "metric", 0.6, 0.25),
        ({"min_metric": 0.5, "direction": "minimize"}, "metric", 0.6, 0.2),
        ({"max_drop": "0%"}, "drop", 0.01, 1.0),
    ],
)
def test_violations_are_normalised_and_at_most_zero_where_a_budget_holds(
    keys: dict[str, object], measurement: str, value: float, violation: float
) -> None:
    found = violations(budgets(**keys), {measurement: Measurement(value, "", {"test": True})})
    assert list(found.values()) == [pytest.approx(violation, abs=1e-12)]


def test_a_budget_on_what_was_not_measured_says_nothing() -> None:
    assert violations(budgets(max_size="1kB"), {}) == {}


def test_two_targets_have_budgets_of_their_own_name() -> None:
    assert [budget.name for budget in budgets(max_latency=("2ms", "pi=4ms"))] == ["max-latency", "max-latency pi"]


def test_the_first_target_needs_no_name_whatever_it_is() -> None:
    found = budgets(max_latency=("2ms", "host=4ms"), targets=("pi", "host"))
    assert [(b.name, b.measurement) for b in found] == [
        ("max-latency", "latency_us:pi"),
        ("max-latency host", "latency_us:host"),
    ]


def test_a_memory_budget_bounds_what_it_is_told() -> None:
    assert [b.measurement for b in budgets(max_memory="256kB")] == ["memory_bytes"]
    assert [b.measurement for b in budgets(max_memory="256kB", memory="arena_bytes")] == ["arena_bytes"]


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [
        ({}, 0.1),  # the default
        ({"max_size": "1kB"}, 0.1),
        ({"max_drop": "3%"}, 0.03),
        ({"max_drop": "20%"}, 0.2),
        ({"max_drop": "0%"}, 0.01),  # as its violation is scaled
        ({"min_metric": 0.75}, 0.05),
        ({"min_metric": 0.75, "max_drop": "3%"}, 0.03),
        ({"min_metric": 0.79, "max_drop": "3%"}, 0.01),
        ({"min_metric": 0.85}, 0.01),  # more than the baseline has
    ],
)
def test_the_allowed_drop_follows_from_every_budget_of_the_metric(keys: dict[str, object], allowed: float) -> None:
    baseline = {name: Measurement(value, "points", {"test": True}) for name, value in (("metric", 0.8), ("drop", 0.0))}
    assert allowed_drop(budgets(**keys), baseline) == pytest.approx(allowed)


def test_the_allowed_drop_of_an_error_is_relative_to_the_baseline() -> None:
    unit = "relative to the baseline"
    baseline = {name: Measurement(value, unit, {"test": True}) for name, value in (("metric", 4.0), ("drop", 0.0))}
    assert allowed_drop(budgets(min_metric=5.0, direction="minimize"), baseline) == pytest.approx(0.25)


def test_sram_and_flash_are_bounded_on_the_targets_that_tell_them() -> None:
    found = budgets(max_sram=("64kB",), max_flash=("u55=60kB",), targets=("host", "u55"))
    assert [(b.name, b.measurement, b.limit) for b in found] == [
        ("max-sram u55", "sram_bytes:u55", 64_000),
        ("max-flash u55", "flash_bytes:u55", 60_000),
    ]
    assert found[0].show(51_856) == "51.9 kB"
    assert [b.measurement for b in budgets(max_flash=("60kB",))] == ["flash_bytes"], (
        "of the file, without such a target"
    )
    with pytest.raises(ConfigError, match="max-sram: the target host does not report SRAM; a target such as vela"):
        budgets(max_sram=("64kB",))
    with pytest.raises(ConfigError, match="max-sram: the target host does not report SRAM; u55 does"):
        budgets(max_sram=("host=64kB",), targets=("host", "u55"))
    with pytest.raises(ConfigError, match="max-flash: give one limit for each target"):
        budgets(max_flash=("u55=64kB", "u55=60kB"), targets=("host", "u55"))
