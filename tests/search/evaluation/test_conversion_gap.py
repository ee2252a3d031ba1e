"""The gap between the user's model and the float file, and drops, are paired measurements on the same samples."""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np
import pytest

from litetuner.objectives.scoring.jobs import CompareJob
from litetuner.objectives.scoring.scorer import compare, describe_metric
from litetuner.search.evaluation.stages import conversion_gap
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.workspace import Inspected, LossSettings, Sources, Workspace
from litetuner.spaces.store import Store
from tests.decisions import PROBABILITIES

MODEL = ModelInfo("m", "0", "keras3", (None, 2), "float32", (None, 2), 1, (), "softmax")


class Scores:
    """A workspace with labels, and jobs that compare what is stored in it."""

    def __init__(self, folder: Path, y: np.ndarray, metric: str) -> None:
        self.workspace = Workspace(folder, Store(folder / "blobs"), Store(folder / "artifacts"), Sources())
        keep = self.workspace.keep_array
        arrays = {"x_search": keep(np.zeros(len(y), np.float32)), "y_search": keep(y)}
        data = DataInfo("0", arrays, {"search": len(y)}, (), "float32", None, None, decision=PROBABILITIES)
        found = Inspected(MODEL, data, None, LossSettings("mse"))
        self.inspected = self.workspace.blobs.put(json.dumps(found.to_json()).encode(), ".json")
        self.metric = metric

    def job(self, original: np.ndarray, each: np.ndarray | None, predictions: np.ndarray | None) -> CompareJob:
        keep = self.workspace.keep_array
        return CompareJob(
            environment=Environment({}, "", ""),
            limits=Limits(1.0, 1),
            inspected=self.inspected,
            split="search",
            metric=self.metric,
            seed=0,
            value=None,
            first_each=None,
            first_predictions=keep(original),
            second_each=None if each is None else keep(each),
            second_predictions=None if predictions is None else keep(predictions),
        )

    def gap(self, original: np.ndarray, each: np.ndarray | None, predictions: np.ndarray | None) -> dict:  # type: ignore[type-arg]
        services = types.SimpleNamespace(metric=describe_metric(self.metric))
        return conversion_gap(services, compare(self.job(original, each, predictions), self.workspace))  # type: ignore[arg-type]


def test_the_gap_counts_in_the_worse_direction(tmp_path: Path) -> None:
    y = np.arange(100) % 2
    right = np.eye(2)[y]
    wrong = right.copy()
    wrong[:10] = wrong[:10, ::-1]
    correct = (wrong.argmax(1) == y).astype(float)
    found = Scores(tmp_path, y, "accuracy").gap(
        right[:50], correct, None
    )  # its own model had time for half of the samples
    assert found["keras_metric"].value == 1.0
    assert found["conversion_gap"].value == 0.2 and found["conversion_gap"].environment["samples"] == 50
    low, high = found["conversion_gap"].interval
    assert low < 0.2 < high
    found = Scores(tmp_path, y, "macro-f1").gap(right, None, wrong)
    assert found["keras_metric"].value == 1.0 and 0.05 < found["conversion_gap"].value < 0.15


def test_an_error_that_grows_is_a_drop(tmp_path: Path) -> None:
    y = np.linspace(0, 1, 50, dtype=np.float32)
    gap = Scores(tmp_path, y, "mae").gap(y[:, None] + 0.1, np.full(50, 0.2), None)["conversion_gap"]
    assert abs(gap.value - 1.0) < 1e-4 and gap.unit == "relative to the original"


@pytest.mark.parametrize("body", ["raise RuntimeError('no such class')", "return float('nan')"])
def test_a_metric_of_the_users_own_that_fails_fails_the_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"failing_{len(body)}"
    (tmp_path / f"{name}.py").write_text(f"def m(y_true, y_pred): {body}\n")
    y = np.arange(10) % 2
    scores = Scores(tmp_path, y, f"{name}:m")
    with pytest.raises(BuildFailed, match=f"{name}:m (failed|returned nan)"):
        compare(scores.job(np.eye(2)[y], None, np.eye(2)[y]), scores.workspace)
