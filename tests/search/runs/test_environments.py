"""Versions and machine belong to each trial and to each cached result, whatever the session that resumes the run has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime import machine
from litetuner.spaces.errors import RunError
from tests.search.fakes import fake_search


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
    fake_search(path, trials=10)
    after = RunFolder(path).trials()
    assert [trial.environment for trial in after[:known]] == [trial.environment for trial in before]
    assert all(trial.environment and trial.environment.versions == versions for trial in after[known:])
    assert all(trial.environment != after[-1].environment for trial in after[:known])
    fresh = [item for item in results(path, "score") if item["environment"]["versions"]["ai-edge-litert"] == "99.0"]
    assert {record["result"]["each"] for record in fresh} & scored, "the baseline was scored anew, by what is there now"


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
