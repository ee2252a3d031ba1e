"""Finals: the front is timed again, interleaved with the baseline, and scored once on the test split, which never selects."""

from __future__ import annotations

from litetuner.objectives.measurement import Measurement
from litetuner.search.clock import Clock
from litetuner.search.evaluate import Evaluator
from litetuner.search.record import read_run
from litetuner.search.trial import Trial
from litetuner.search.work import Work
from litetuner.spaces.errors import BuildFailed, Lost


def run_finals(evaluator: Evaluator, clock: Clock) -> None:
    """Measure baseline and front finally; results go to ``finals.json``, trial records stay as they were told."""
    folder = evaluator.folder
    record = folder.read("finals") or {}
    done: dict[str, dict[str, object]] = dict(record.get("trials", {}))
    while True:  # new times may bring other trials to the front, which are then measured too; each is measured once
        run = read_run(folder.path)
        wanted = [
            trial for trial in ([run.baseline] if run.baseline else []) + run.front if str(trial.number) not in done
        ]
        if not wanted:
            break
        for trial in wanted:
            measured = _measure(evaluator, trial, clock)
            done[str(trial.number)] = {name: value.to_json() for name, value in measured.items()}
            folder.write("finals", {"trials": done})
            clock.save()


def _measure(evaluator: Evaluator, trial: Trial, clock: Clock) -> dict[str, Measurement]:
    work = Work(evaluator, trial.candidate)
    measured: dict[str, Measurement] = {}
    assert trial.artifact is not None  # scored trials have one
    name = trial.artifact.removeprefix("artifacts/")
    try:
        evaluator.folder.artifacts.get(name)  # its sha256 is checked, so that no altered file is measured
        artifact = {"artifact": name, "structure": trial.structure}
        for target in evaluator.config.target:
            measured |= evaluator.time(artifact, target, work, occasion="finals")
        if evaluator.inspection.data.counts.get("test"):
            scored = evaluator.score(name, "test", work, trial.candidate)
            measured["test_metric"] = Measurement.from_json(scored["metric"])
            assert (
                evaluator.baseline is not None and evaluator.baseline.artifact is not None
            )  # finals come after trial 0
            base_name = evaluator.baseline.artifact.removeprefix("artifacts/")
            base = evaluator.score(base_name, "test", work, evaluator.baseline.candidate)
            measured["test_drop"] = evaluator.drop(scored, base, "test")
    except (BuildFailed, Lost) as error:
        evaluator.folder.note("final failed", trial=trial.number, reason=str(error))
    finally:
        clock.count(work.known["seconds"])
    return measured
