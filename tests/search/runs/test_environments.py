"""Versions and machine belong to each trial and to each cached result, whatever the session that resumes the run has."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from litetuner.reports.model.result import build_result
from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runs.environments import other_environments
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.runtime import machine
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.environment import Environment
from tests.search.fakes import fake_config, fake_search
from tests.search.made_up import trial


class Watcher(Listener):
    def __init__(self) -> None:
        self.advice: list[str] = []

    def advised(self, sentence: str) -> None:
        self.advice.append(sentence)


def results(run: Path, verb: str) -> list[dict]:  # type: ignore[type-arg]
    found = [json.loads(path.read_text()) for path in (run / "cache").glob("*/result.json")]
    return [record for record in found if record["verb"] == verb]


def test_another_version_reuses_no_result_and_old_trials_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    known = len(fake_search(path, trials=6).record.trials)
    before = RunFolder(path).trials()
    scored = {record["result"]["each"] for record in results(path, "score")}
    versions = machine.package_versions() | {"ai-edge-litert": "99.0"}
    monkeypatch.setattr(machine, "package_versions", lambda: versions)
    watcher = Watcher()
    run_search(fake_config(path, trials=16), watcher)
    litert = before[0].environment.versions["ai-edge-litert"]  # type: ignore[union-attr]
    assert watcher.advice == [
        f"{known} trials of this run were measured with ai-edge-litert {litert}, not 99.0 as now. The report marks where "
        "numbers of both are in one front; another --out keeps them apart."
    ]
    after = RunFolder(path).trials()
    assert [trial.environment for trial in after[:known]] == [trial.environment for trial in before]
    assert all(trial.environment and trial.environment.versions == versions for trial in after[known:])
    assert all(trial.environment != after[-1].environment for trial in after[:known])
    mixed = [trial.number for trial in read_run(path).front if trial.number >= known]
    assert mixed, "else there is nothing to say"
    said = build_result(read_run(path)).mixed_words
    assert said == (
        f"The Pareto front mixes environments: {'trials' if mixed[1:] else 'trial'} {', '.join(map(str, mixed))} with "
        f"ai-edge-litert 99.0, not {litert} as the baseline. Compare their numbers with care."
    )
    fresh = [item for item in results(path, "score") if item["environment"]["versions"]["ai-edge-litert"] == "99.0"]
    assert {record["result"]["each"] for record in fresh} & scored, "the baseline was scored anew, by what is there now"


def test_another_machine_and_packages_that_are_missing_are_named() -> None:
    usual = Environment({"python": "3.12", "tf_keras": "2.19"}, "here x86_64", "one CPU")
    others = [
        usual,
        Environment({"python": "3.12"}, "here x86_64", "one CPU"),
        Environment(usual.versions, "there aarch64", "another CPU"),
    ]
    trials = [dataclasses.replace(trial(1 + at, 0.0), environment=item) for at, item in enumerate([*others, None])]
    assert other_environments(trials, usual) == {
        "tf_keras none, not 2.19": [2],
        "there aarch64, not here x86_64; another CPU, not one CPU": [3],
    }


def test_a_folder_of_version_0_1_is_rejected_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fake_search(path, trials=2)
    for name in ("identity", "inspection", "clock"):
        record = json.loads((path / f"{name}.json").read_text())
        record.pop("format_version") if name == "identity" else record.update(format_version=1)
        (path / f"{name}.json").write_text(json.dumps(record))
    before = (path / "litetuner.toml").read_bytes()
    for use in (lambda: fake_search(path, trials=3), RunFolder(path).config):
        with pytest.raises(RunError, match=r"has format 1, and this version of litetuner reads format 2: search again"):
            use()
    assert (path / "litetuner.toml").read_bytes() == before


def test_no_path_of_this_machine_is_stored_with_the_inspection_or_a_key(tmp_path: Path) -> None:
    """The same search in another folder has the same keys."""
    for name in ("one", "two"):
        fake_search(tmp_path / name, trials=6)
        assert str(tmp_path) not in (tmp_path / name / "inspection.json").read_text()
    keys = [{path.parent.name for path in (tmp_path / name / "cache").glob("*/result.json")} for name in ("one", "two")]
    assert keys[0] == keys[1]
