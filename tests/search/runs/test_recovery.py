"""Records and the study: what is missing, damaged, of another run or in another place does not change what a search finds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import ConfigError, RunError
from tests.search.fakes import fake_config, fake_search

FIRST, ALL = 8, 12


class Advice(Listener):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def advised(self, sentence: str) -> None:
        self.sentences.append(sentence)


def told(run: Path) -> list[Any]:
    record = read_run(run)
    trials = [
        (t.number, t.candidate.key, t.state, t.origin, [(n, m.value) for n, m in t.measurements.items()])
        for t in record.trials
    ]
    return [trials, [t.number for t in record.front], {name: t.number for name, t in record.picks.items()}]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``first`` after some trials, ``all`` undisturbed after more, ``other`` of another seed."""
    folder = tmp_path_factory.mktemp("runs")
    fake_search(folder / "first", trials=FIRST, database=True)
    shutil.copytree(folder / "first", folder / "all")
    fake_search(folder / "all", trials=ALL, database=True)
    fake_search(folder / "other", trials=FIRST, seed=1, database=True)
    return folder


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "first", tmp_path / "run"))


def resume(run: Path, trials: int = ALL) -> list[str]:
    advice = Advice()
    run_search(fake_config(run, trials=trials), advice)
    return advice.sentences


def test_an_undisturbed_resume_says_nothing(run: Path, runs: Path) -> None:
    assert not [sentence for sentence in resume(run) if "study.db" in sentence]
    assert told(run) == told(runs / "all")


def test_a_resumed_search_reads_each_record_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, read, one = RunFolder(run).trials(), Counter[str](), RunFolder.trial

    def counted(folder: RunFolder, name: str) -> Trial:
        read[name] += 1
        return one(folder, name)

    monkeypatch.setattr(RunFolder, "trial", counted)
    resume(run)
    assert [read[f"{trial.number:04d}"] for trial in known[1:]] == [1] * (len(known) - 1)
    assert RunFolder(run).trials(known) == [
        one(RunFolder(run), path.name) for path in sorted((run / "trials").iterdir())
    ]


@pytest.mark.parametrize("what", ["missing", "foreign", "text", "changed", "no trials"])
def test_a_study_that_does_not_belong_is_filled_again(run: Path, runs: Path, what: str) -> None:
    import sqlite3

    path = run / "study.db"
    if what == "missing":
        path.unlink()
    elif what == "foreign":
        shutil.copy(runs / "other" / "study.db", path)
    elif what == "text":
        path.write_text("this is no database" * 100)
    else:
        with sqlite3.connect(path) as database:
            database.execute(
                "DELETE FROM trials" if what == "no trials" else "UPDATE trial_values SET value = value + 0.01"
            )
        database.close()
    (note,) = [sentence for sentence in resume(run) if "study.db" in sentence]
    reason = {
        "missing": "is missing",
        "foreign": "belongs to another run",
        "changed": "differs from the record of trial",
    }
    assert reason.get(what, "") in note and f"filled again from the records of {FIRST} trials" in note
    assert told(run) == told(runs / "all")
    assert (run / "study-replaced.db").exists() == (what != "missing")


def test_new_budgets_are_new_once_also_without_the_study(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    for path in (run, other):
        fake_search(path, trials=FIRST + 2, max_drop="5%", database=True)
        if path == other:
            (path / "study.db").unlink()
        fake_search(path, trials=FIRST + 4, max_drop="5%", database=True)
    assert told(run) == told(other)


def test_a_trial_whose_record_was_removed_is_asked_again(run: Path) -> None:
    folder = RunFolder(run)
    gone = next(trial for trial in reversed(folder.trials()) if trial.state.scored and not trial.is_baseline)
    (folder.trial_folder(gone.number) / "trial.json").unlink()
    (note,) = [sentence for sentence in resume(run, FIRST) if "study.db" in sentence]
    assert "has trials whose records were removed" in note
    again = RunFolder(run).trials()
    assert again[gone.number].state is State.LOST and "was removed" in str(again[gone.number].reason)
    (found,) = [t for t in again[FIRST:] if t.candidate.key == gone.candidate.key]
    assert found.measurements["metric"] == gone.measurements["metric"]


def test_who_repeated_a_lost_result_stands_for_it(run: Path) -> None:
    folder = RunFolder(run)
    known = next(trial for trial in folder.trials() if trial.state.scored and not trial.is_baseline)
    for number in (FIRST, FIRST + 1):
        folder.write_trial(dataclasses.replace(known, number=number, duplicate_of=known.number))
    (folder.trial_folder(known.number) / "trial.json").unlink()
    resume(run, FIRST)
    after = RunFolder(run).trials()
    assert [trial.duplicate_of for trial in after[FIRST : FIRST + 2]] == [None, FIRST]
    assert [trial.number for trial in after if trial.candidate.key == known.candidate.key][:2] == [known.number, FIRST]


@pytest.mark.parametrize("suffix", [".json", ".npy", ".npz", ".tflite", "artifacts", "result.json"])
@pytest.mark.parametrize("how", ["altered", "deleted"])
def test_a_copy_stands_alone_and_makes_damaged_files_again(runs: Path, tmp_path: Path, suffix: str, how: str) -> None:
    original, copy = (Path(shutil.copytree(runs / "first", tmp_path / name)) for name in ("original", "copy"))
    for file in (file for file in original.rglob("*") if file.is_file()):
        file.write_bytes(b"changed" * 30)
    kinds = {"artifacts": "artifacts/*", "result.json": "cache/*/result.json"}
    damaged = [file for file in copy.glob(kinds.get(suffix, f"cache/blobs/*{suffix}")) if file.is_file()]
    before = {file: file.read_bytes() for file in damaged}
    assert damaged
    for file in damaged:
        content = before[file]
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1])) if how == "altered" else file.unlink()
    resume(copy)
    assert told(copy) == told(runs / "all")
    record = read_run(copy)
    for trial in (record.baseline, *record.front, *record.picks.values()):
        assert trial is not None and record.folder.artifacts.has(f"{trial.sha256}.tflite")


def test_a_copy_of_a_configuration_searches_in_the_copy(run: Path, runs: Path) -> None:
    from litetuner.search.config.config import make_config
    from litetuner.search.config.toml_file import read_toml

    assert make_config(read_toml(run / "litetuner.toml")).out == str(run)
    text = (run / "litetuner.toml").read_text()
    (run / "litetuner.toml").write_text(text.replace('max-drop = "3%"', 'max-drop = "1%"'))
    with pytest.raises(ConfigError, match=r"not as a search wrote it.*remove its last line"):
        read_toml(run / "litetuner.toml")
    with pytest.raises(RunError, match="damaged, was edited, or belongs to another run"):
        read_run(run)
    resume(run, FIRST)
    assert told(run) == told(runs / "first")


def test_a_lost_identity_is_written_again_for_the_same_model_only(run: Path) -> None:
    (run / "identity.json").unlink()
    with pytest.raises(RunError, match=r"no identity\.json. Repeat the search command"):
        read_run(run)
    with pytest.raises(RunError, match=r"has lost its identity\.json"):
        fake_search(run, trials=FIRST, seed=5, database=True)
    before = json.loads((run / "clock.json").read_text())["checksum"]
    resume(run, FIRST)
    assert before and len(read_run(run).trials) >= FIRST


@pytest.mark.parametrize("name", ["what?mode=ro", "%41", "{a}", "a#b", "[x]", "-v", "'q'"])
def test_a_name_of_a_folder_is_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    fake_search(Path(name), trials=2, database=True)
    assert [item.name for item in tmp_path.iterdir()] == [name] and (tmp_path / name / "study.db").is_file()
    resume(Path(name), 3)
    assert len(read_run(name).trials) == 3


def test_many_make_one_folder_at_once(tmp_path: Path) -> None:
    """Who comes later finds what the others are about to write, and is refused by the lock alone."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: RunFolder(tmp_path / "run").create(), range(400)))
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["..writable.0a1b2c3d.4e5f6071", ".writable.0a1b2c3d", ".identity.json.0a1b2c3d"])
def test_a_folder_of_a_search_that_was_killed_before_its_first_record_is_used(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / name).write_text("")
    fake_search(run, trials=2)
    assert len(RunFolder(run).trials()) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".notes").write_text("")
    with pytest.raises(RunError, match=r"not empty \(\.notes\)"):
        fake_search(tmp_path / "other", trials=2)
