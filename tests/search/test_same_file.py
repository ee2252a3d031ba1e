"""Settings that give the same bytes count as one candidate, in counts, on the front and in reports."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.model.rejections import why_rejected
from litetuner.reports.model.sections.trial_details import state_word
from litetuner.search.clock import counted
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.building.fake_builder import FakeBuilder
from litetuner.spaces.building.jobs import FinishJob
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import CALIBRATIONS, Choices
from litetuner.spaces.space import ScriptedChoices
from tests.search.fakes import fake_search
from tests.search.made_up import SPACE


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A search in which calibration changes no file."""
    plain = FakeBuilder.finish

    def finish(self: FakeBuilder, job: FinishJob) -> Any:
        usual = {"calibration": 0, "selection": "balanced"}
        steps = [
            dataclasses.replace(step, **usual) if "selection" in step.knobs() else step for step in job.candidate.steps
        ]
        return plain(self, dataclasses.replace(job, candidate=Candidate(tuple(steps))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeBuilder, "finish", finish)
        out: Path = tmp_path_factory.mktemp("search") / "run"
        return fake_search(out, trials=30, steps=("int8", "float32"), sampler="random").record


def test_the_same_bytes_are_one_candidate(record: RunRecord) -> None:
    own = [trial for trial in record.trials if trial.duplicate_of is None]
    files = [trial.sha256 for trial in own if trial.state.scored]
    assert len(files) == len(set(files)) > 2
    built = [trial for trial in record.trials if trial.duplicate_of is not None and trial.seconds]
    assert built, "no two settings gave the same file: the test shows nothing"
    for trial in built:
        first = record.trial(int(str(trial.duplicate_of)))
        assert first.duplicate_of is None and first.sha256 == trial.sha256 and first.number < trial.number
        assert first.candidate != trial.candidate and first.measurements["metric"] == trial.measurements["metric"]
        assert why_rejected(trial, record.budgets) == f"same file as trial {first.number}"
        assert state_word(trial, ()) == "repeated"
    assert sum(record.counts.values()) == counted(record.trials) == len(own)
    assert all(trial.duplicate_of is None for trial in (*record.front, *record.picks.values()))


def test_a_repeated_duplicate_names_the_first(record: RunRecord) -> None:
    for trial in record.trials:
        if trial.duplicate_of is not None:
            assert record.trial(trial.duplicate_of).duplicate_of is None


@pytest.mark.parametrize(
    ("samples", "offered"),
    [
        (None, list(CALIBRATIONS)),
        (5000, list(CALIBRATIONS)),
        (1000, list(CALIBRATIONS)),
        (400, [name for name in CALIBRATIONS if name != "random1000"]),  # there are no 1,000
        (300, ["usual", "spread50", "extremes50"]),
        (40, ["usual"]),
    ],
)
def test_calibrations_that_take_all_samples_are_offered_once(samples: int | None, offered: list[str]) -> None:
    seen: list[str] = []

    class Listening(ScriptedChoices):
        def one_of(self, name: str, options: Any) -> str:
            seen.extend(options)
            return str(options[0])

    around = dataclasses.replace(SPACE.around, training_samples=samples)
    knobs = Choices(Listening({}), around, (), ("float32",)).choose_calibration()
    assert (seen or ["usual"]) == offered and knobs == {"calibration": 0, "selection": "balanced"}
