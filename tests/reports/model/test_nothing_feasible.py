from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.html.report import write_report
from litetuner.reports.model.nothing_feasible import command
from litetuner.reports.model.result import build_result
from litetuner.search.config.config import make_config
from litetuner.search.config.toml_file import read_toml, to_toml
from litetuner.spaces.store import write_atomic


def config_of(line: str) -> Any:
    """The configuration that a command line of ``litetuner search`` would make."""
    program, verb, toml, *flags = shlex.split(line)
    assert (program, verb) == ("litetuner", "search")
    values: dict[str, Any] = {}
    for key, value in zip(flags[::2], flags[1::2], strict=True):
        values.setdefault(key.removeprefix("--"), []).append(value)
    single = {key: found if key == "max-latency" else found[0] for key, found in values.items()}
    return make_config(read_toml(Path(toml)) | {key.replace("-", "_"): value for key, value in single.items()})


def write_toml_of(record: Any) -> None:
    write_atomic(record.folder.path / "litetuner.toml", to_toml(record.config))


@pytest.mark.parametrize(
    "budgets",
    [
        {"max_compressed_size": "8kB"},
        {"max_compressed_size": "21kB", "max_drop": "0.5%", "max_latency": "45us"},
        {"max_compressed_size": "50kB", "max_drop": None, "min_metric": 0.9, "max_latency": "100us"},
        {"max_latency": "10us"},
    ],
)
def test_the_command_to_try_next_lets_something_pass(filled: Any, budgets: dict[str, Any]) -> None:
    record = filled.record(**budgets)
    write_toml_of(record)
    result = build_result(record)
    assert result.nothing_feasible is not None and result.best is None
    line = result.nothing_feasible.command
    assert line is not None
    config = config_of(line)
    assert config.out == str(record.folder.path)
    again = {name: getattr(config, name) for name in ("max_compressed_size", "max_drop", "min_metric", "max_latency")}
    assert build_result(filled.record(**again)).best is not None


def test_what_each_budget_would_buy_comes_from_the_front(filled: Any) -> None:
    blocked = build_result(filled.record(max_compressed_size="8kB")).nothing_feasible
    assert blocked is not None
    (steps,) = blocked.relaxations
    assert 1 < len(steps) <= 4
    values = [step.value for step in steps]
    assert values == sorted(values) and len({step.setting for step in steps}) == len(steps)
    for one, other in itertools.pairwise(steps):  # giving more buys something
        assert other.row.metric > one.row.metric or other.row.latency_us["host"] < one.row.latency_us["host"]
    assert all(step.row.drop <= 0.01 for step in steps)
    assert {budget.key for budget in blocked.not_alone} == {"max-latency", "max-drop"}


def test_the_nearest_are_ranked_and_say_what_they_break(filled: Any) -> None:
    blocked = build_result(
        filled.record(max_compressed_size="21kB", max_drop="0.5%", max_latency="45us")
    ).nothing_feasible
    assert blocked is not None
    assert blocked.nearest[0].row.trial == 15 and len(blocked.nearest) == 3
    worst = [max(item.violation for item in near.exceeded) for near in blocked.nearest]
    assert worst == sorted(worst)


def test_other_targets_keep_their_limits_in_the_command(build: Any) -> None:
    build.target = "pi"
    build.add("float32", drop=0.0, compressed=100_000, us=200.0)
    record = build.record(
        target="pi=ssh://me@pi.local,host",
        max_latency=["pi=100us", "host=50us"],
        max_drop=None,
        max_compressed_size=None,
    )
    blocked = build_result(record).nothing_feasible
    assert blocked is not None
    line = command("runs/a b", blocked.settings, record.budgets)
    assert line == (
        "litetuner search 'runs/a b/litetuner.toml' --out 'runs/a b' --max-latency 200us --max-latency host=50us"
    )


def test_the_report_shows_it(filled: Any) -> None:
    record = filled.record(max_compressed_size="8kB")
    text = write_report(record).read_text()
    assert "What relaxing each budget gains" in text and "The nearest candidates" in text
    assert (
        f"litetuner search {record.folder.path}/litetuner.toml --out {record.folder.path} --max-compressed-size 22kB"
        in text
    )
