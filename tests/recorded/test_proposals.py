"""What a simulated search of 200 trials proposes, in order: the search policy, whatever its code looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import Trial
from tests.search.fakes import fake_search


def line(trial: Trial) -> str:
    """Number, origin, state, gate and the choices that lead to the candidate."""
    choices = {name: entry["chosen"] for name, entry in sorted(trial.params.items())}
    record = [trial.number, trial.origin, str(trial.state), trial.gate, trial.duplicate_of, choices]
    return json.dumps(record)


def test_the_proposals_of_a_simulated_run(tmp_path: Path, compare: Callable[[str, str], None]) -> None:
    fake_search(tmp_path / "run", trials=200)
    trials = RunFolder(tmp_path / "run").trials()
    compare("proposals.jsonl", "".join(line(trial) + "\n" for trial in trials))
