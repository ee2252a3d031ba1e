"""Metrics by their names, and functions of the user as metrics."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics.choice import find_metric
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.models.decision import TASKS


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        find_metric("acuracy")
    with pytest.raises(ConfigError, match=r"no metric 'zzz'\. Known: accuracy"):
        find_metric("zzz")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    name = f"user_metric_{os.getpid()}"

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
        sys.dont_write_bytecode = True
        return f"{name}:f"

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop(name, None)


def test_a_function_of_the_user_with_defaults_and_attributes(user: Any) -> None:
    spec = user("def f(y, p): return (p.argmax(1) == y).mean()\n")
    metric = find_metric(spec)
    assert (metric.name, metric.direction, metric.bounded, metric.tasks) == (spec, "maximize", False, TASKS)
    assert metric.default_loss == "classification"
    assert metric.score(np.array([0, 1]), np.eye(2)) == 1.0 and metric.each(np.array([0]), np.eye(1)) is None
    spec = user("def f(y, p): return abs(y - p[:, 0]).max()\nf.direction, f.task = 'minimize', 'regression'\n")
    metric = find_metric(spec)
    assert (metric.direction, metric.tasks, metric.default_loss) == ("minimize", ("regression",), "mean_squared_error")
    assert metric.score(np.array([1.0, 2.0]), np.array([[1.0], [5.0]])) == 3.0


def test_a_function_gets_what_it_takes(user: Any) -> None:
    spec = user("def f(y, p, groups, x): return len(x) + sum(groups) + (y == 'cat').mean()\n")
    metric = find_metric(spec)
    assert metric.takes == ("x", "groups") and not metric.own_loss
    found = metric.score(np.array(["cat", "dog"]), np.eye(2), x=np.zeros((2, 3)), groups=np.array([1, 4]))
    assert found == 7.5
    assert find_metric(user("f = max\n")).takes == ()


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def f(y, p): return 1\nf.direction = 'up'\n", "'maximize' or 'minimize'"),
        ("def f(y, p): return 1\nf.bounded = 'yes'\n", "it must be bool"),
        ("g = 1\n", "no function 'f'"),
        ("def f(y): return 1\n", "TypeError"),
        ("def f(y, p): return None\n", "must take"),
        ("def f(y, p): return float('nan')\n", "returned nan"),
        ("def f(y, p): return 2\nf.bounded = True\n", "within [0, 1]"),
    ],
)
def test_functions_that_cannot_be_used_are_refused(user: Any, source: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_metric(user(source)).score(np.array([0, 1]), np.eye(2))
    assert part in str(caught.value)
