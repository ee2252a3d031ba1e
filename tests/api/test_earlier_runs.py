"""What is done with an earlier run: ``check`` against a stored result, ``apply``, ``search --from``, and the newest run."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import litetuner
from litetuner import ConfigError, Run, RunError
from litetuner.cli import run as cli
from litetuner.search.runs.rebuild_source import read_rebuild_source
from litetuner.spaces.jobs import python_functions

FAKE: dict[str, Any] = {"executor": "fake", "target": "fake", "progress": False}
MODEL = ("fake:model", "fake:data")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A simulated search of twelve trials."""
    return litetuner.tune(*MODEL, **FAKE, max_drop="3%", trials=12, out=tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Callable[..., Path]:
    """The run's summary as a file, changed by a function of it."""

    def write(change: Callable[[dict[str, Any]], object] = lambda summary: None) -> Path:
        summary = copy.deepcopy(run.summary())
        change(summary)
        (tmp_path / "stored.json").write_text(json.dumps(summary))
        return tmp_path / "stored.json"

    return write


def best_with(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda summary: summary["best"].update(values)


def test_a_run_is_not_worse_than_itself(run: Run, stored: Callable[..., Path]) -> None:
    found = litetuner.check(run, against=stored())
    assert not found.worse and [change.name for change in found.changes] == [
        "accuracy",
        "compressed bytes",
        "latency on fake",
    ]
    assert all(change.before == change.after for change in found.changes)
    assert not litetuner.check(run, against=run).worse


def test_what_is_worse_and_what_is_chance(run: Run, stored: Callable[..., Path]) -> None:
    best = run.best()
    assert best is not None
    metric, size, time = best["metric"], best["compressed_bytes"], best["latency_us"]["fake"]
    cases = [  # what was stored, and what is worse now
        ({"metric_interval": (metric - 0.001, metric + 0.02)}, []),
        ({"metric": metric + 0.03, "metric_interval": (metric + 0.001, metric + 0.05)}, ["accuracy"]),
        ({"metric": metric + 1e-6, "metric_interval": None}, ["accuracy"]),
        ({"metric": metric - 0.1, "metric_interval": (metric - 0.11, metric - 0.09)}, []),  # it is better now
        ({"compressed_bytes": size / 1.04}, []),
        ({"compressed_bytes": size / 1.06}, ["compressed bytes"]),
        ({"latency_us": {"fake": time / 1.04}, "latency_interval_us": {"fake": None}}, []),
        ({"latency_us": {"fake": time / 1.06}, "latency_interval_us": {"fake": None}}, ["latency on fake"]),
        ({"latency_us": {"fake": time / 1.06}, "latency_interval_us": {"fake": (0, time)}}, []),
    ]
    wrong = []
    for values, expected in cases:
        found = litetuner.check(run, against=stored(best_with(**values)))
        worse = [change.name for change in found.changes if change.worse]
        wrong += [] if worse == expected and found.worse == bool(expected) else [(values, worse)]
    assert not wrong


def test_other_machines_lost_files_and_other_budgets(run: Run, stored: Callable[..., Path]) -> None:
    other = litetuner.check(run, against=stored(lambda summary: summary["environment"].update(cpu="another")))
    assert [change.name for change in other.changes][2:] == ["speed on fake"] and "machines differ" in other.notes[0]
    nothing = litetuner.check(run, against=stored(lambda summary: summary.update(best=None)))
    assert not nothing.worse and "nothing can be worse" in nothing.reason
    budgets = litetuner.check(run, against=stored(lambda summary: summary.update(budgets=[])))
    assert "other budgets: none" in budgets.notes[0] and budgets.budgets == ("max-drop 3%",)


def test_no_file_within_the_budgets_any_more(stored: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    tight = litetuner.tune(*MODEL, **FAKE, max_size="1B", trials=3, out=tmp_path / "tight")
    found = litetuner.check(tight, against=stored())
    assert found.worse and found.lost and "No file is within" in found.reason


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda summary: summary.pop("best"), "has no best"),
        (lambda summary: summary["metric"].update(name="mae"), "mae, maximize"),
        (lambda summary: summary.update(metric=3), "no metric"),
    ],
)
def test_a_stored_result_that_is_none(run: Run, stored: Callable[..., Path], change: Any, part: str) -> None:
    with pytest.raises(RunError, match=part):
        litetuner.check(run, against=stored(change))


def test_check_on_the_command_line(
    run: Run, stored: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(["check", str(run.path), "--against", str(stored())]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "not worse than the stored result"
    worse = stored(best_with(compressed_bytes=1000))
    assert cli(["check", str(run.path), "--against", str(worse), "--json"]) == 1
    document = json.loads(capfd.readouterr().out)
    assert document["worse"] and [item["worse"] for item in document["changes"]] == [False, True, False]
    assert cli(["check", str(run.path), "--against", str(tmp_path / "nothing.json")]) == 2
    (tmp_path / "text.json").write_text("text")
    assert cli(["check", str(run.path), "--against", str(tmp_path / "text.json")]) == 2
    capfd.readouterr()


def test_check_runs_the_search_of_a_configuration(
    stored: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = {"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake", "max-drop": "3%"}
    (tmp_path / "ci.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()) + "trials = 12\n")
    found = litetuner.check("ci.toml", against=stored(), progress=False, out="runs/ci")
    assert not found.worse and len(Run("runs/ci").record().trials) >= 12


def test_the_front_of_an_earlier_run_is_tried_first(run: Run, tmp_path: Path) -> None:
    record = run.record()
    wanted = {trial.candidate.key for trial in (*record.picks.values(), *record.front) if trial.number}
    again = litetuner.tune(*MODEL, **FAKE, seed=5, trials=len(wanted) + 2, from_run=run.path, out=tmp_path / "again")
    trials = again.record().trials
    assert trials[0].is_baseline and {trial.candidate.key for trial in trials[1 : len(wanted) + 1]} == wanted
    assert {trial.origin for trial in trials[1 : len(wanted) + 1]} == {"earlier"} and trials[-1].origin != "earlier"
    one = record.picks["smallest"]
    made = litetuner.tune(*MODEL, **FAKE, trials=2, from_run=f"{run.path}:{one.number}", out=tmp_path / "one")
    assert [trial.candidate.key for trial in made.record().trials][1] == one.candidate.key


@pytest.mark.parametrize(
    ("given", "error", "part"),
    [
        ("nowhere", RunError, "is not a run folder"),
        ("{run}:99", RunError, "no trial 99"),
        ("{run}:x", ConfigError, "number"),
    ],
)
def test_an_earlier_run_that_is_none(given: str, error: type[Exception], part: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(error, match=part):
        litetuner.tune(*MODEL, **FAKE, from_run=given.format(run=run.path), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_applied_to_a_new_version_of_the_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    best = run.best()
    assert best is not None
    with pytest.raises(RunError, match=r"names functions \(data = fake:data\).*--trust"):
        litetuner.apply(run, "fake:retrained", progress=False)
    found = litetuner.apply(run, "fake:retrained", "fake:data", progress=False)
    trials = found.record().trials
    assert [trial.candidate.key for trial in trials] == [
        trials[0].candidate.key,
        run.record().trial(best["trial"]).candidate.key,
    ]
    assert found.record().config.model == "fake:retrained" and found.record().config.max_drop == "3%"
    assert found.path == tmp_path / "runs" / f"first-{best['trial']}-applied"
    arguments = ["apply", f"{run.path}:{best['trial']}", "--model", "fake:third", "--trust", "--out", "third", "--json"]
    assert cli(arguments) == 0
    assert json.loads(capfd.readouterr().out)["best"]["label"] == best["label"]
    with pytest.raises(RunError, match="no recipe to apply"):
        litetuner.apply(f"{run.path}:0", "fake:retrained", "fake:data")


def test_without_a_run_the_newest_one_is_meant(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run in runs/ here"):
        Run()
    for name, at in (("older", 1_000), ("newer", 2_000)):
        litetuner.tune(*MODEL, **FAKE, trials=2, out=Path("runs", name))
        for file in ("litetuner.toml", "events.jsonl"):
            os.utime(Path("runs", name, file), (at, at))
    assert Run().path == Path("runs/newer")
    assert cli(["status"]) == 0 and "runs/newer" in capfd.readouterr().out
    assert cli(["report"]) == 0 and cli(["export"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0] == "runs/newer/report.html" and out[1].startswith("exported/")


def test_every_record_of_a_run_can_be_read_to_rebuild_its_file(run: Run) -> None:
    """Also those of steps whose whole numbers may be as small as a tenth of their smallest choice."""
    trials = [trial for trial in run.record().trials if trial.artifact]
    read = [read_rebuild_source(run.record().folder.trial_folder(trial.number), trust=True) for trial in trials]
    assert [found.candidate for found in read] == [trial.candidate for trial in trials]
    assert any(
        isinstance(knob, int) for found in read for step in found.candidate.steps for knob in step.knobs().values()
    )


def test_resuming_and_rebuilding_need_the_same_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(weight: float) -> Callable[..., float]:
        return lambda y_true, y_pred: weight

    out = tmp_path / "run"
    first = litetuner.tune(*MODEL, **FAKE, metric=score(1.0), trials=3, out=out)
    assert first.summary()["metric"]["name"] == "lambda"
    assert len(litetuner.tune(*MODEL, **FAKE, metric=score(1.0), trials=4, out=out).record().trials) == 4
    with pytest.raises(RunError, match=r"holds another run\. What differs: metric: python_function:lambda_"):
        litetuner.tune(*MODEL, **FAKE, metric=score(2.0), trials=4, out=out)
    built = first.rebuild(2, tmp_path / "again.tflite", metric=score(1.0), model="fake:model", data="fake:data")
    assert built.same_file
    with pytest.raises(ConfigError, match=r"metric: .* is not what the run used"):
        first.rebuild(2, tmp_path / "again.tflite", metric=score(2.0), trust=True)
    with pytest.raises(ConfigError, match=r"no argument 'metrik'.*did you mean 'metric'"):
        first.rebuild(2, metrik=score(1.0))
    monkeypatch.setattr(python_functions, "_pickles", {})  # as in another process
    missing = "metric: the run uses the Python function 'lambda', which is in no file"
    with pytest.raises(ConfigError, match=missing):
        first.rebuild(2, tmp_path / "again.tflite", trust=True)
    assert cli(["search", str(out)]) == 2
