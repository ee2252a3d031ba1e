"""The Python API, real throughout: a trained model, real conversions, trainings, scores and times."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import litetuner
from litetuner import ConfigError, Run, RunError
from litetuner.search.listener import Listener
from litetuner.search.proposals.scheduler import STRATEGIES
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import State, Trial
from tests.metadata import read_metadata
from tests.one_process import OneProcess

KEYS: dict[str, Any] = {"max_drop": "5%", "target": "fake", "max_epochs": 0.2}
STEPS = "int8,prune,qat"
TRIALS = 5  # two baselines, two trained recipes, and a variant of one

Runs = dict[str, Run]
pytestmark = [pytest.mark.timeout(900), pytest.mark.service]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def killer() -> Killer:
    """Kills the build worker of the search in memory, once."""
    return Killer()


@pytest.fixture(scope="module")
def runs(
    home: Path, model_file: Path, data_file: Path, trained: object, arrays: dict[str, np.ndarray], killer: Killer
) -> Runs:
    """Two searches in one process: one of files, timed on this machine; one of a model and arrays that live in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        real = KEYS | {"target": "host?max_seconds=2", "steps": STEPS}
        files = litetuner.tune(model_file, data_file, trials=TRIALS, out=home / "files", **real)
        memory = litetuner.tune(trained, arrays, trials=3, listener=killer, **KEYS)
    killer.join()
    return {"files": files, "memory": memory}


def test_the_front_and_the_best(runs: Runs) -> None:
    run = runs["files"]
    best = run.best()
    assert best is not None and best in run.front
    assert best["drop"] <= 0.05 and best["state"] == "COMPLETE"
    assert best["compressed_bytes"] == min(row["compressed_bytes"] for row in run.front)
    metrics = [row["metric"] for row in run.front]
    assert metrics == sorted(metrics, reverse=True)
    assert all(row["latency_us"]["host"] > 0 and row["test_metric"] is not None for row in run.front)


def test_the_baseline_is_the_untouched_model_whatever_steps_are_allowed(runs: Runs) -> None:
    first, *others = runs["files"].record().trials
    assert [step.name for step in first.candidate.steps] == ["float32"]
    assert first.params == {}, "none of the choices that are left would lead to it"
    names = {step.name for trial in others for step in trial.candidate.steps}
    assert names - {"float32", "slim"} == set(STEPS.split(","))
    origins = [trial.origin for trial in (first, *others)]
    assert origins[:3] == ["baseline", "baseline", "recipe"] and set(origins[3:]) <= set(STRATEGIES)


def test_every_file_is_what_its_row_says(runs: Runs) -> None:
    run = runs["files"]
    for row in run.front:
        content = (run.path / row["artifact"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"] and len(content) == row["file_bytes"]


def test_the_measured_file_is_exported(runs: Runs, tmp_path: Path) -> None:
    run = runs["files"]
    best = run.best()
    assert best is not None
    file = run.export(tmp_path / "out")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == best["sha256"]
    assert json.loads((file.parent / "trial.json").read_text())["number"] == best["trial"]
    assert "\n# tiny" in (file.parent / "MODEL_CARD.md").read_text()
    other = run.export(tmp_path / "other", trial=0)
    assert other.stat().st_size == run.summary()["baseline"]["file_bytes"]


def test_the_exported_file_runs_and_scores_as_was_said(
    runs: Runs, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    from litetuner.objectives.scoring.predict import predict

    run = runs["files"]
    best = run.best()
    assert best is not None
    outputs = predict(run.export(tmp_path).read_bytes(), arrays["x_search"], 1, None)
    accuracy = float((outputs.argmax(axis=1) == arrays["y_search"]).mean())
    assert accuracy == pytest.approx(best["metric"], abs=1e-9)


def test_files_are_made_again_from_their_records(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Post-training: the same file. Trained: one whose metric lies in the recorded interval (here the same file as well)."""
    run = runs["files"]
    trials = [trial for trial in run.record().trials if trial.number and trial.artifact]
    trained = next(trial for trial in trials if trial.candidate.prefix.steps)
    exported = run.export(tmp_path / "out", trial=trained.number, metadata=True).parent
    found = litetuner.rebuild(exported, tmp_path / "trained.tflite")
    assert found.trained and found.agrees and found.source.candidate == trained.candidate
    monkeypatch.setitem(EXECUTORS, "local", OneProcess)  # workers were used for the other one
    plain = next(trial for trial in trials if not trial.candidate.prefix.steps)
    assert run.rebuild(plain.number, tmp_path / "plain.tflite").same_file


def test_what_goes_with_an_export_works(runs: Runs, tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    run = runs["files"]
    np.save(tmp_path / "x.npy", arrays["x_test"][0])
    label = int(arrays["y_test"][0])
    for trial in (0, 1):
        file = run.export(tmp_path / f"out{trial}", trial=trial, metadata=True, c_array=True)
        command = [sys.executable, str(file.parent / "run_example.py"), str(tmp_path / "x.npy")]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert told.startswith(f"prediction: class {label} (0.")
        inside = json.loads(read_metadata(file.read_bytes(), "litetuner") or b"{}")
        assert inside["trial"] == trial and inside["measured_sha256"] == run.record().trial(trial).sha256
    written = json.loads((tmp_path / "out1" / "provenance.json").read_text())
    assert len(written["measurements"]["latency_us:host"]["samples"]) >= 5
    assert written["files"][file.name]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert {"tensorflow", "ai-edge-litert"} <= set(written["environment"]["packages"])


def test_the_report_and_its_tables(runs: Runs) -> None:
    run = runs["files"]
    report = run.report()
    assert report == run.path / "report.html" and report.stat().st_size > 100_000
    written = json.loads((run.path / "summary.json").read_text())
    assert written == json.loads(json.dumps(run.summary()))
    with (run.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(run.record().trials)
    assert {"trial", "label", "state", "metric", "sha256", "seconds_since_start", "duplicate_of", "gate"} <= set(
        rows[0]
    )


def test_the_summary_holds_the_contract(runs: Runs) -> None:
    summary = runs["files"].summary()
    first = (
        "schema_version run model metric objectives budgets budget_checks baseline conversion best picks front fronts"
    )
    assert list(summary) == [*first.split(), "counts", "seconds", "environment"]
    assert summary["metric"] == {"name": "accuracy", "direction": "maximize"}
    assert sum(summary["counts"].values()) == TRIALS
    assert {"train", "convert", "score", "time", "other", "wall"} <= set(summary["seconds"])
    seconds = summary["seconds"]
    apart = ("wall", "slots", "cpu")
    assert sum(value for name, value in seconds.items() if name not in apart) == pytest.approx(seconds["wall"], abs=0.1)
    assert summary["baseline"]["trial"] == 0 and summary["baseline"]["drop"] == 0


def test_a_model_and_arrays_in_memory(runs: Runs, home: Path) -> None:
    run = runs["memory"]
    assert run.best() is not None
    inputs = sorted(path.suffix for path in (home / "runs" / "inputs").iterdir())
    assert inputs == [".keras", ".npz"], "each is written once, and nothing is left half written"
    assert (home / run.path).is_dir() and run.path.name.startswith("tiny-")


def test_the_same_call_adds_nothing(
    runs: Runs, home: Path, trained: object, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    before = runs["memory"].record().trials
    again = litetuner.tune(trained, arrays, trials=3, **KEYS)
    assert again.path == runs["memory"].path
    assert again.record().trials == before


def test_a_killed_worker_is_replaced(runs: Runs, killer: Killer) -> None:
    """SIGKILL to the build worker in the middle of a real search: the job is done again, and the search continues."""
    assert killer.killed, "no worker was there to be killed"
    assert all(trial.state.scored for trial in runs["memory"].record().trials[:3])
    left = [
        child
        for child in psutil.Process().children(recursive=True)
        if "litetuner.search.runtime.worker" in child.cmdline()
    ]
    assert not left


def test_more_trials_continue_the_run(
    runs: Runs, home: Path, trained: object, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setitem(EXECUTORS, "local", OneProcess)
    before = runs["memory"].record().trials
    trials = litetuner.tune(trained, arrays, trials=6, **KEYS).record().trials
    assert [trial.candidate for trial in trials[:3]] == [trial.candidate for trial in before[:3]]
    finished = [trial for trial in trials if trial.state is not State.LOST and trial.duplicate_of is None]
    assert len(finished) == 6 and all(trial.state.scored for trial in finished)


def test_an_impossible_budget_on_real_files_has_no_best_and_says_what_would_have_to_give(
    runs: Runs, home: Path, trained: object, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    run = litetuner.tune(trained, arrays, trials=3, **KEYS, max_size="1B")
    assert run.path == runs["memory"].path, "budgets may change"
    assert run.best() is None and run.front == [] and run.summary()["picks"] == {}
    with pytest.raises(
        RunError, match=r"is within --max-size 1B.*Search again with --max-size .*, or export .* --trial"
    ):
        run.export(home / "x")
    assert "--max-size" in run.report().read_text()
    assert litetuner.tune(trained, arrays, trials=3, **KEYS).best() is not None


class Killer(Listener):
    """Kills the first build worker that is seen after the first new trial."""

    def __init__(self) -> None:
        self.killed = 0
        self._thread: threading.Thread | None = None

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        if self._thread is None and trial.duplicate_of is None:
            self._thread = threading.Thread(target=self._kill, daemon=True)
            self._thread.start()

    def _kill(self) -> None:
        deadline = time.monotonic() + 20
        while not self.killed and time.monotonic() < deadline:
            for child in psutil.Process().children():
                line = child.cmdline()
                if "litetuner.search.runtime.worker" in line and "build" in line:
                    os.kill(child.pid, signal.SIGKILL)
                    self.killed = child.pid
            time.sleep(0.01)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(30)


def test_a_run_is_read_from_its_folder_alone(runs: Runs, tmp_path: Path) -> None:
    path = runs["files"].path
    assert Run(path).best() == Run(str(path)).best() == runs["files"].best()
    with pytest.raises(RunError, match="is not a run folder"):
        Run(tmp_path)
    with pytest.raises(ConfigError, match="unknown pick"):
        runs["files"].export(tmp_path, pick="smalest")
