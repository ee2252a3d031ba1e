"""A sensitivity that was not measured is told, and a space with unknown choices is never called exhausted."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.jobs.job import Job
from tests.search.fakes import fake_config


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def advised(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_not_measured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    real = EXECUTORS["fake"].submit

    def submit(self: Any, job: Job[Any], log: Path | None = None) -> Future[Any]:
        if fails and job.verb == "measure_layers":
            raise BuildFailed("no operator is known to be a layer")
        return real(self, job, log)

    monkeypatch.setattr("litetuner.search.runtime.executors.fake.Fake.submit", submit)
    notes = Notes()
    # A space of two files, which is soon used up.
    config = fake_config(tmp_path / "run", trials=200, steps=("float32", "float16"), sampler="random")
    reason = run_search(config, notes).reason
    assert reason.startswith("nothing new is proposed any more: ")
    told = "the sensitivity of 8 of 8 layers was not measured (conv0: no operator is known to be a layer)"
    assert any(note.startswith(told) for note in notes.notes) == fails
    assert ("exhausted" not in reason and told in reason) == fails
