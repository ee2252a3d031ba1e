"""Finals: the front is timed again, interleaved with the baseline, and scored once on the test split, which never selects."""

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
    """Measure baseline and front finally; results go to ``finals.json``, trial records stay as they were told."""
    folder = services.folder
    record = folder.read("finals") or {}
    done: dict[str, dict[str, object]] = dict(record.get("trials", {}))
    again = dict(record.get("waiting", {}))  # by number: why; the next session measures these anew
    seen = set(done) - set(again)
    while True:  # new times may bring other trials to the front, which are then measured too; each is measured once
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
    """What was measured of a trial's file, and which targets did not answer."""
    try:
        return _final(services, trial, baseline)
    except Stopped as stop:
        services.folder.note("final failed", trial=trial.number, reason=str(stop))
        return stop.measured


def _final(services: Services, trial: Trial, baseline: Trial | None) -> Measured:
    name = artifact_of(trial)
    assert name is not None  # scored trials have one
    services.folder.artifacts.get(name)  # its sha256 is checked, so that no altered file is measured
    file = FileRef(name, name)  # timed itself, not another file of its structure
    measured = steadier(time_everywhere(services, file, baseline, Measured(), "finals"), trial)
    measured = measured.adding(with_decoding(measured.measurements, trial.measurements))
    if services.inspection.data.counts.get("test"):
        scored, measured = run_job(services, score_job(services, name, trial.candidate, "test"), measured)
        measured = measured.adding({"test_metric": scored.metric})
        drop, measured = measure_drop(services, scored, baseline, "test", measured)
        measured = measured.adding({"test_drop": drop})
    return measured


def steadier(measured: Measured, trial: Trial) -> Measured:
    """Without final latencies that were disturbed more than those of the search, which then stay. Borrowed ones never do."""
    disturbed = set()
    for name, now in measured.measurements.items():
        then = trial.measurements.get(name) if name.startswith("latency_us:") else None
        if then is None or "borrowed_from" in then.extra:
            continue
        if len(now.extra.get("instability", ())) > len(then.extra.get("instability", ())):
            disturbed |= {name, name.replace("latency_us:", "latency_ratio:")}
    kept = {name: value for name, value in measured.measurements.items() if name not in disturbed}
    return dataclasses.replace(measured, measurements=kept)
