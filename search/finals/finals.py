"""Finals: the front is timed again, interleaved with the baseline, and scored once on the test split, which never selects."""

from __future__ import annotations

from litetuner.objectives.measurement import Measurement
from litetuner.search.clock import Clock
from litetuner.search.evaluation.evaluator import Evaluator
from litetuner.search.evaluation.pipeline import Work
from litetuner.search.runs.record import read_run
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed, Lost


def run_finals(evaluator: Evaluator, clock: Clock) -> None:
    """Measure baseline and front finally; results go to ``finals.json``, trial records stay as they were told."""
    folder = evaluator.folder
    record = folder.read("finals") or {}
    done: dict[str, dict[str, object]] = dict(record.get("trials", {}))
    again = dict(record.get("waiting", {}))  # by number: why; the next session measures these anew
    seen = set(done) - set(again)
    while True:  # new times may bring other trials to the front, which are then measured too; each is measured once
        run = read_run(folder.path)
        members = {trial.number: trial for front in (*run.fronts.values(), run.picks.values()) for trial in front}
        wanted = [trial for trial in ([run.baseline] if run.baseline else []) + list(members.values())]
        wanted = [trial for trial in wanted if str(trial.number) not in seen]
        if not wanted:
            break
        for trial in wanted:
            number = str(trial.number)
            measured, unanswered = _measure(evaluator, trial, clock)
            done[number] = {name: value.to_json() for name, value in measured.items()}
            again.pop(number, None)
            again |= {number: unanswered} if unanswered else {}
            seen.add(number)
            folder.write("finals", {"trials": done, "waiting": again})
            clock.save()


def _measure(evaluator: Evaluator, trial: Trial, clock: Clock) -> tuple[dict[str, Measurement], dict[str, str]]:
    """What was measured, and why each target that did not answer did not."""
    work = Work(evaluator, trial.candidate)
    measured: dict[str, Measurement] = work.known["measurements"]
    assert trial.artifact is not None  # scored trials have one
    name = trial.artifact.removeprefix("artifacts/")
    try:
        evaluator.folder.artifacts.get(name)  # its sha256 is checked, so that no altered file is measured
        artifact = {"artifact": name, "structure": trial.structure}
        work.time(artifact, occasion="finals")
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
    return measured, work.unanswered
