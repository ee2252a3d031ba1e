"""The rule of the best file, on a table of pairs; and where its paired intervals come from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.picks.best import BestRule, find_best, is_safe
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.paired import equal_metric
from litetuner.search.trial import State, Trial
from tests.search.test_front import OBJECTIVES, trial

DROP = Budget("max-drop", "drop", 0.01, "at most", "1%")
RULE = BestRule((DROP,), False, True, OBJECTIVES[0], "compressed_bytes", "latency_us:host")
TIMED = dataclasses.replace(RULE, latency_limited=True)
ERROR = dataclasses.replace(RULE, points=False, metric=Objective("metric", "minimize"))
FREE = dataclasses.replace(RULE, metric_budgets=())
NO_VALUES, EQUAL, DIFFERENT = None, True, False

# Each file is metric, bytes, us; the number is the one that must be picked.
TABLE = [
    ("0.5 points for 7 bytes", RULE, [(0.860, 23_112, 80), (0.865, 23_119, 80)], DIFFERENT, 1),
    ("0.5 points for 7 bytes, few samples: the cap decides", RULE, [(0.860, 23_112, 80), (0.865, 23_119, 80)], EQUAL, 1),
    ("faster where latency has room: worse in metric and size", TIMED, [(0.865, 23_000, 90), (0.8645, 23_900, 70)], EQUAL, 0),
    ("without a latency budget the faster one", RULE, [(0.865, 23_000, 90), (0.8645, 23_900, 70)], EQUAL, 1),
    ("1 % faster is no difference", RULE, [(0.865, 23_000, 90), (0.865, 23_900, 89.2)], EQUAL, 0),
    ("a difference below the cap that is no chance", RULE, [(0.8645, 23_000, 80), (0.865, 23_100, 80)], DIFFERENT, 1),
    ("a difference below the cap that may be chance", RULE, [(0.8645, 23_000, 80), (0.865, 23_100, 80)], EQUAL, 0),
    ("no per-sample values: exactly 0.1 points are equal", RULE, [(0.864, 23_000, 80), (0.865, 23_100, 80)], NO_VALUES, 0),
    ("no per-sample values: 0.2 points are not", RULE, [(0.863, 23_000, 80), (0.865, 23_100, 80)], NO_VALUES, 1),
    ("more than 5 % larger, whatever its metric", RULE, [(0.860, 23_000, 80), (0.880, 24_200, 80)], DIFFERENT, 0),
    ("an error: a lower one is better", ERROR, [(3.3, 23_000, 80), (3.1, 23_100, 80)], DIFFERENT, 1),
    ("an error that may be chance", ERROR, [(3.3, 23_000, 80), (3.1, 23_100, 80)], EQUAL, 0),
    ("an error without values: only the same is equal", ERROR, [(3.1001, 23_000, 80), (3.1, 23_100, 80)], NO_VALUES, 1),
    ("equal in size: the better metric", TIMED, [(0.8645, 23_000, 80), (0.865, 23_000, 85)], EQUAL, 1),
    ("equal in all: the lower number", TIMED, [(0.865, 23_000, 80), (0.865, 23_000, 75)], EQUAL, 0),
    ("no budget on the metric: the best metric", FREE, [(0.860, 20_000, 70), (0.8601, 90_000, 300)], EQUAL, 1),
    ("no budget on the metric: of equal ones the smallest", FREE, [(0.860, 90_000, 70), (0.860, 20_000, 300)], EQUAL, 1),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rule", "files", "same", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_the_best_of_a_pair(
    why: str, rule: BestRule, files: list[tuple[float, float, float]], same: bool | None, expected: int
) -> None:
    trials = [trial(number, *file) for number, file in enumerate(files)]
    for order in (trials, trials[::-1]):
        found = find_best(order, rule, lambda one, other: same)
        assert found is not None and found.trial.number == expected, why


def test_it_is_chosen_from_all_files_within_the_budgets_and_says_how() -> None:
    """A file that is dominated on the front of a front's members only may be the best; what breaks a budget is not."""
    trials = [
        trial(0, 0.80, 100, 50),
        trial(1, 0.90, 103, 40),
        trial(2, 0.8995, 102, 40.5),
        trial(3, 0.99, 1, 1, State.INFEASIBLE),
        dataclasses.replace(trial(4, 0.99, 1, 1), duplicate_of=3),
        trial(5, 0.9, 300, 10),
    ]
    found = find_best(trials, RULE, lambda one, other: None)
    assert found is not None
    kept = [[item.number for item in step] for step in (found.within, found.small, found.equal, found.quick)]
    assert kept == [[0, 1, 2, 5], [0, 1, 2], [1, 2], [1, 2]]
    assert found.trial.number == 2 and found.unpaired == 1
    assert [item.number for item in found.contenders] == [1, 2]
    assert find_best(trials[3:5], RULE, lambda one, other: None) is None


def with_drop(number: int, size: float, drop: float, half: float | None) -> Trial:
    """A file whose drop has an interval of ``half`` on each side."""
    found = trial(number, 0.9 - drop, size, 80)
    interval = None if half is None else (drop - half, drop + half)
    found.measurements["drop"] = Measurement(drop, "points", {"test": True}, interval)
    return found


def test_the_best_keeps_the_limit_on_new_data_too() -> None:
    """The smaller one is 0.1 points below the limit of 1 point, at a standard error of 0.5 points."""
    lucky, safe = with_drop(0, 20_000, 0.009, 0.0098), with_drop(1, 30_000, 0.002, 0.0098)
    found = find_best([lucky, safe], RULE, lambda one, other: True)
    assert found is not None and found.trial is safe and found.safe == (safe,)
    found = find_best([lucky], RULE, lambda one, other: True)
    assert found is not None and found.trial is lucky and found.safe == (), "the only file there is: not proven"
    exact = with_drop(2, 10_000, 0.01, None)
    found = find_best([lucky, safe, exact], RULE, lambda one, other: True)
    assert found is not None and found.trial is exact, "a value without an interval counts as exact"


def test_an_accuracy_at_least_is_moved_downwards() -> None:
    budget = Budget("min-metric", "metric", 0.85, "at least", "0.85")
    metric = dataclasses.replace(trial(0, 0.86, 1, 1).measurements["metric"], interval=(0.8404, 0.8796))  # 0.01 each
    file = dataclasses.replace(trial(0, 0.86, 1, 1), measurements={"metric": metric})
    assert is_safe(file, (budget,), 30)  # 0.98 standard errors
    assert not is_safe(file, (budget,), 40)  # 1.04


def with_values(folder: RunFolder, number: int, values: np.ndarray) -> Trial:
    return dataclasses.replace(trial(number, 0.9, 1, 1), each=folder.workspace().keep_array(values))


def test_paired_values_are_read_from_the_run_and_verified(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rng = np.random.default_rng(0)
    right = (rng.random(2000) < 0.9).astype(float)
    worse = right.copy()
    worse[np.flatnonzero(right)[:40]] = 0.0  # 2 points, always the same direction
    one, same, other = (with_values(folder, at, item) for at, item in enumerate((right, right.copy(), worse)))
    assert equal_metric(folder, 0, one, same) is True
    assert equal_metric(folder, 0, one, other) is False
    assert equal_metric(folder, 0, one, trial(3, 0.9, 1, 1)) is None, "a record without per-sample values"
    changed = right.copy()
    changed[0] = 1 - changed[0]
    nearly = with_values(folder, 4, changed)
    assert equal_metric(folder, 0, one, nearly) is True, "one sample may be chance"
    lost = with_values(folder, 5, rng.random(10))
    folder.blobs.path(str(lost.each)).unlink()
    assert equal_metric(folder, 0, one, lost) is None
    damaged = with_values(folder, 6, rng.random(10))
    folder.blobs.path(str(damaged.each)).write_bytes(b"damaged")
    assert equal_metric(folder, 0, one, damaged) is None
