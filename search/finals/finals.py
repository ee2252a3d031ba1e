"""Finals: the Pareto front is timed again, interleaved with the baseline, and scored once on the test split.

The test split is never used to select files.
"""

import dataclasses
from collections.abc import Sequence

from litetuner.search.clock import Clock
from litetuner.search.evaluation.candidate_jobs import score_job
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import artifact_of, measure_drop, run_job, time_everywhere, with_decoding
from litetuner.search.finals.lost_files import restore_files
from litetuner.search.runs.record import read_run
from litetuner.search.trial import Trial
from litetuner.spaces.building.jobs import FileRef


def run_finals(services: Services, clock: Clock, known: Sequence[Trial]) -> None:
    """Measure the baseline, the Pareto fronts and the picks again into ``finals.json``; trial records do not change."""
    folder = services.folder
    record = folder.read("finals") or {}
    done: dict[str, dict[str, object]] = dict(record.get("trials", {}))
    again = dict(record.get("waiting", {}))  # by number: which targets did not answer; measured again next session
    seen = set(done) - set(again)
    while True:  # new latencies may bring other trials to the front; these are measured too, each of them once
        run = read_run(folder.path, known)
        contenders = () if run.best is None else run.best.contenders
        sources = (*run.fronts.values(), run.picks.values(), contenders)
        members = {trial.number: trial for source in sources for trial in source}
        kept = [trial for trial in (run.baseline, *members.values()) if trial]
        restore_files(services, kept)
        wanted = [trial for trial in kept if str(trial.number) not in seen]
        if not wanted:
            break
        for trial in wanted:
            number = str(trial.number)
            measured = _measure(services, trial, run.baseline)
            clock.count(measured.seconds)
            done[number] = {name: value.to_json() for name, value in measured.measurements.items()}
            again.pop(number, None)
            again |= {number: dict(measured.unanswered)} if measured.unanswered else {}
            seen.add(number)
            folder.write("finals", {"trials": done, "waiting": again})
            clock.save()


def _measure(services: Services, trial: Trial, baseline: Trial | None) -> Measured:
    """The final measurements of a trial's file, and the targets that did not answer."""
    try:
        return _final(services, trial, baseline)
    except Stopped as stop:
        services.folder.note("final failed", trial=trial.number, reason=str(stop))
        return stop.measured


def _final(services: Services, trial: Trial, baseline: Trial | None) -> Measured:
    name = artifact_of(trial)
    assert name is not None  # every scored trial has a file
    services.folder.artifacts.get(name)  # checks the sha256, so that no changed file is measured
    file = FileRef(name, name)  # the file itself is timed, not another one of the same structure
    measured = steadier(time_everywhere(services, file, baseline, Measured(), "finals"), trial)
    measured = measured.adding(with_decoding(measured.measurements, trial.measurements))
    if services.inspection.data.counts.get("test"):
        scored, measured = run_job(services, score_job(services, name, trial.candidate, "test"), measured)
        measured = measured.adding({"test_metric": scored.metric})
        drop, measured = measure_drop(services, scored, baseline, "test", measured)
        measured = measured.adding({"test_drop": drop})
    return measured


def steadier(measured: Measured, trial: Trial) -> Measured:
    """Drop final latencies that were less stable than those of the search, so that the search's latencies stay.

    A latency of the search that was measured on another file is always replaced.
    """
    disturbed = set()
    for name, now in measured.measurements.items():
        then = trial.measurements.get(name) if name.startswith("latency_us:") else None
        if then is None or "borrowed_from" in then.extra:
            continue
        if len(now.extra.get("instability", ())) > len(then.extra.get("instability", ())):
            disturbed |= {name, name.replace("latency_us:", "latency_ratio:")}
    kept = {name: value for name, value in measured.measurements.items() if name not in disturbed}
    return dataclasses.replace(measured, measurements=kept)
