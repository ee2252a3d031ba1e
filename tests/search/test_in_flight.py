"""Trials in parallel: each is told once, none is lost, equal work is done once, and one device does one timing at a time."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest

from litetuner.reporting import Reporting
from litetuner.reports.status import find_status
from litetuner.search.config.config import make_config
from litetuner.search.in_flight import MOST_PER_SLOT, InFlight
from litetuner.search.listener import Listener
from litetuner.search.proposals.baselines import BASELINE
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.runs.record import read_run
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import ConfigError, HostError, Lost
from tests.search.fakes import Replayed, fake_config, fake_search, studies_in_memory
from tests.search.runtime.test_kill import PRELOADED

PARALLEL = 4
TRIALS = 30
KILLS = 6


@pytest.fixture(autouse=True)
def replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "fake", Replayed)
    Replayed.done.clear()


class Heard(Listener):
    """All trials that were told, and what the trials in flight did."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.words: list[list[str]] = []

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        self.numbers.append(trial.number)

    def running(self, trials) -> None:  # type: ignore[no-untyped-def]
        self.words.append([trial.words for trial in trials])


def most_at_once(spans: list[tuple[float, float]]) -> int:
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    at_once = most = 0
    for _, change in edges:
        at_once += change
        most = max(most, at_once)
    return most


def test_every_trial_is_told_once_and_equal_jobs_are_done_once(tmp_path: Path) -> None:
    heard = Heard()
    with studies_in_memory():
        record = run_search(fake_config(tmp_path / "run", trials=TRIALS, parallel=PARALLEL), heard).record
    assert Counter(heard.numbers) == Counter(range(len(record.trials)))
    own = [trial for trial in record.trials if trial.duplicate_of is None]
    assert len(own) == TRIALS and len({trial.candidate.key for trial in own}) == TRIALS
    repeated = [trial for trial in record.trials if trial.duplicate_of is not None and not trial.seconds]
    assert all(trial.origin == "sampler" for trial in repeated), "the other strategies see what is in flight"
    jobs = Counter(job.key for job, _, _ in Replayed.done)
    assert set(jobs.values()) == {1}, "a training that two trials in flight share is done once"
    work = [(begin, end) for job, begin, end in Replayed.done if job.kind != "time"]
    assert 1 < most_at_once(work) <= PARALLEL
    assert most_at_once([(begin, end) for job, begin, end in Replayed.done if job.kind == "time"]) == 1
    baseline = next(trial for trial in record.trials if trial.is_baseline)
    assert heard.numbers[0] == baseline.number == 0, "nothing runs beside the baseline"


def test_the_seconds_of_all_slots_are_told(tmp_path: Path) -> None:
    for parallel in (1, PARALLEL):
        fake_search(tmp_path / str(parallel), trials=TRIALS, parallel=parallel)
        seconds = read_run(tmp_path / str(parallel)).seconds
        work = sum(seconds[kind] for kind in ("train", "convert", "score", "time"))
        assert seconds["slots"] == pytest.approx(parallel * seconds["wall"], rel=0.01)
        assert seconds["other"] == pytest.approx(seconds["slots"] - work, abs=0.1)


def test_a_trial_that_waits_for_a_job_of_another_one_keeps_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 64 slots a seventh of the trials' time was spent waiting for equal jobs, and no job ran in those slots."""
    end, sharing = threading.Event(), {1}
    monkeypatch.setattr("litetuner.search.in_flight.evaluate", lambda *_: end.wait(20))
    monkeypatch.setattr("litetuner.search.in_flight.trial_of", lambda *_: None)
    history = SimpleNamespace(copy=lambda _: None)
    cache = SimpleNamespace(shares=sharing.__contains__)
    services = SimpleNamespace(cache=cache, for_trial=lambda number: SimpleNamespace(log=number, cache=cache))
    in_flight, full = InFlight(services, 2), []  # type: ignore[arg-type]
    for number in range(4):
        in_flight.begin(Asked(number, BASELINE, "test", {}), history, {})  # type: ignore[arg-type]
        full.append(in_flight.full)
    end.set()
    assert full == [False, False, True, True], "1 shares"
    sharing.update(range(4))
    assert in_flight.full, "at most twice as many trials as slots"


def test_a_resumed_run_asks_what_was_in_flight_again_and_tells_all_once(tmp_path: Path) -> None:
    """Ended by an error of one trial: the others in flight have no record, are lost, and asked again."""

    class Broken(Replayed):
        def _score(self, job):  # type: ignore[no-untyped-def]
            if len(self.done) > 60:
                raise HostError("the disk is full")
            return super()._score(job)

    path = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(HostError, match="disk is full"):
        patch.setitem(EXECUTORS, "fake", Broken)
        fake_search(path, trials=TRIALS, parallel=PARALLEL)
    acknowledged = {trial.number: trial for trial in RunFolder(path).trials()}
    record = fake_search(path, trials=TRIALS, parallel=PARALLEL).record
    assert [trial.number for trial in record.trials] == list(range(len(record.trials)))
    lost = [trial for trial in record.trials if trial.state is State.LOST]
    assert 0 < len(lost) <= MOST_PER_SLOT * PARALLEL and not {trial.number for trial in lost} & set(acknowledged)
    answered = {trial.candidate.key for trial in record.trials if trial.state is not State.LOST}
    assert {trial.candidate.key for trial in lost} <= answered
    for number, trial in acknowledged.items():
        assert record.trials[number].candidate == trial.candidate and record.trials[number].state == trial.state


def test_losses_at_the_same_time_are_one_accident(tmp_path: Path) -> None:
    class Dying(Replayed):
        def _score(self, job):  # type: ignore[no-untyped-def]
            if len(self.done) > 60:
                raise Lost("the machine kills all that computes")
            return super()._score(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "fake", Dying)
        end = fake_search(tmp_path / "run", trials=None, time_budget="5m", parallel=PARALLEL)
    assert end.reason == "trials were lost 5 times in a row (the machine kills all that computes)"
    lost = [trial for trial in end.record.trials if trial.state is State.LOST]
    answered = max(trial.seconds_since_start for trial in end.record.trials if trial.state is not State.LOST)
    assert len(lost) > 5, "more trials than accidents"
    # Others of an accident before the answer do not begin a new row, but are told after it.
    most = (5 + 1) * MOST_PER_SLOT * PARALLEL - 1
    assert sum(trial.seconds_since_start > answered for trial in lost) <= most, "an answer ends a row"


def test_an_interrupt_finishes_and_tells_all_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "run"

    class Interrupting(Heard):
        def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
            super().told(trial, trials, seconds_left)
            if len(self.numbers) == 13:
                os.kill(os.getpid(), signal.SIGINT)

    heard = Interrupting()
    with studies_in_memory():
        end = run_search(fake_config(path, trials=TRIALS, parallel=PARALLEL), heard)
    assert end.interrupted and end.reason == "interrupted"
    trials = end.record.trials
    assert sorted(heard.numbers) == list(range(len(trials))) and 13 <= len(trials) <= 13 + MOST_PER_SLOT * PARALLEL
    assert not any(trial.state is State.LOST for trial in trials)


def test_a_second_interrupt_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replayed, "seconds", {"train": 60.0})

    training = threading.Event()

    class Training(Replayed):
        def submit(self, job, log=None):  # type: ignore[no-untyped-def]
            if job.kind == "train":
                training.set()
            return super().submit(job, log)

    def interrupt() -> None:
        training.wait(60)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)

    monkeypatch.setitem(EXECUTORS, "fake", Training)
    started = time.monotonic()
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), studies_in_memory():
        run_search(fake_config(tmp_path / "run", trials=None, time_budget="5m", parallel=PARALLEL))
    assert time.monotonic() - started < 20


def test_what_each_trial_does_is_told_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.search.loop.LOOK_SECONDS", 0.005)
    monkeypatch.setitem(Replayed.seconds, "time", 0.1)  # long enough to be seen on a busy machine
    path, seen = tmp_path / "run", []

    class Looking(Heard):
        def running(self, trials) -> None:  # type: ignore[no-untyped-def]
            super().running(trials)
            if len(trials) > 1 and len(seen) < 3:
                seen.append(find_status(read_run(path)))

    heard = Looking()
    with studies_in_memory(), Reporting(heard) as reporting:
        run_search(fake_config(path, trials=20, parallel=PARALLEL), reporting)
    assert any("(timing)" in text for words in heard.words for text in words)
    # Trials are looked at now and then, and some end in between: how many are seen at once depends on the machine.
    assert heard.words[-1] == [] and 1 < max(map(len, heard.words)) <= MOST_PER_SLOT * PARALLEL
    assert seen and 1 < len(seen[0].trials_running) <= MOST_PER_SLOT * PARALLEL
    assert all(text in seen[0].words for text in ("now: ", "; ")) and seen[0].to_json()["trials_running"]
    assert not find_status(read_run(path)).trials_running


@pytest.mark.parametrize("wrong", [0, -1])
def test_at_least_one_trial(wrong: int) -> None:
    with pytest.raises(ConfigError, match="parallel"):
        make_config({"model": "m", "data": "d", "parallel": wrong})


def start(path: Path) -> BaseProcess:
    process = multiprocessing.get_context("forkserver").Process(target=_search, args=(path,))
    process.start()
    return process


def _search(path: Path) -> None:
    EXECUTORS["fake"] = Replayed  # type: ignore[index]
    fake_search(path, trials=40, parallel=8, database=True)


def told_so_far(path: Path) -> int:
    events = path / "events.jsonl"
    return events.read_bytes().count(b'"event": "told"') if events.exists() else 0


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Kills with 8 trials in flight: each record stays as it was, and each trial of the study is told once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([*PRELOADED])
    path, moments = tmp_path / "run", random.Random(8)
    known: dict[int, Trial] = {}
    kills = 0
    while kills < KILLS:
        process = start(path)
        deadline, before = time.monotonic() + 60, told_so_far(path)
        while process.is_alive() and told_so_far(path) <= before:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        kills += 1
        found = {trial.number: trial for trial in RunFolder(path).trials()}
        assert all(found[number] == trial for number, trial in known.items()), "a record changed or was lost"
        known = found
    last = start(path)
    last.join(120)
    assert last.exitcode == 0 and kills > 2
    trials = RunFolder(path).trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert sum(trial.state is State.LOST for trial in trials) <= 8 * kills
    optuna = pytest.importorskip("optuna")
    (study,) = optuna.get_all_study_names(f"sqlite:///{path / 'study.db'}")
    theirs = optuna.load_study(study_name=study, storage=f"sqlite:///{path / 'study.db'}").trials
    assert [trial.number for trial in theirs] == [trial.number for trial in trials]
    assert all(trial.state.is_finished() for trial in theirs)
