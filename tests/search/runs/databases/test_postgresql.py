"""A search with its study on a PostgreSQL server: others read it, the run folder is the truth, nothing tells the password."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from litetuner.cli import run as command_line
from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runs.databases.postgresql import PostgresqlServer
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.trial import Trial
from litetuner.spaces.errors import HostError
from tests.search.fakes import fake_config, fake_search
from tests.search.runs.test_recovery import told

pytestmark = pytest.mark.service
READERS, MOST = 4, 16
READ = """
import json, sys, time
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
url, name, end = sys.argv[1], sys.argv[2], float(sys.argv[3])
ended, reads = {}, 0
while time.time() < end and len(ended) < int(sys.argv[4]):
    try:
        trials = optuna.load_study(study_name=name, storage=url).trials
    except KeyError:  # not there yet
        continue
    reads += 1
    assert [trial.number for trial in trials] == list(range(len(trials)))
    for trial in trials:
        if trial.state.is_finished():
            found = [str(trial.state), trial.values, trial.params]
            assert ended.setdefault(trial.number, found) == found
print(json.dumps([reads, len(ended)]))
"""


def database(server: Any, folder: Path) -> list[Any]:
    """The trials of a run's only study on the server."""
    place = PostgresqlServer(server.url(), server.password, RunFolder(folder).id)
    found = place.open()
    try:
        (name,) = [name for name in optuna.get_all_study_names(found.storage) if name.endswith(place.run)]
        return optuna.load_study(study_name=name, storage=found.storage).trials
    finally:
        found.close()


def test_a_run_is_the_same_as_with_a_file(postgresql: Any, tmp_path: Path) -> None:
    path = tmp_path / "server"
    for trials in (8, 12):  # in two parts, each of which scores its Pareto front on the test split
        fake_search(tmp_path / "file", trials=trials)
        fake_search(path, trials=trials, storage=postgresql.url(postgresql.password))
    assert told(path) == told(tmp_path / "file")
    assert not list(path.glob("study*.db*"))
    trials, theirs = read_run(path).trials, database(postgresql, path)
    assert [trial.number for trial in theirs] == [trial.number for trial in trials]
    for one, other in zip(trials, theirs, strict=True):
        assert other.state.is_finished() and (other.values is None) != one.state.scored
    fake_search(path, trials=14)  # and from now on in a file
    assert (path / "study.db").exists() and read_run(path).trials[: len(trials)] != ()
    fake_search(path, trials=16, storage=postgresql.url(postgresql.password))
    assert len(database(postgresql, path)) == len(read_run(path).trials)


def test_four_processes_read_while_a_search_writes(postgresql: Any, tmp_path: Path) -> None:
    path, readers = tmp_path / "run", []

    class Starting(Listener):
        def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
            if not readers:
                place = PostgresqlServer("", None, RunFolder(path).id)
                name = place.study_name(RunFolder(path).read("studies")["names"][0])  # type: ignore[index]
                url = postgresql.url().replace("postgresql:", "postgresql+psycopg:")
                for _ in range(READERS):
                    command = [sys.executable, "-c", READ, url, name, str(time.time() + 250), str(MOST)]
                    around = os.environ | {"PGPASSWORD": postgresql.password}
                    readers.append(subprocess.Popen(command, env=around, stdout=subprocess.PIPE, text=True))
            time.sleep(0.1)  # so that they read several times

    run_search(fake_config(path, trials=MOST, parallel=4, storage=postgresql.url(postgresql.password)), Starting())
    assert len(readers) == READERS
    for reader in readers:
        said, _ = reader.communicate(timeout=250)
        assert reader.returncode == 0
        reads, ended = eval(said)
        assert reads > 2 and ended >= MOST


def test_the_password_is_found_nowhere(
    postgresql: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the environment of the command line, in a TOML file and in Python: not in files, output, logs or process lists."""
    caplog.set_level(logging.DEBUG)
    optuna.logging.enable_propagation()
    monkeypatch.setattr(optuna.logging, "set_verbosity", lambda level: None)
    secret, lines, ended = postgresql.password, set(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    lines.add(file.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    common = ["--executor", "fake", "--target", "fake", "--max-drop", "3%", "--trials", "6", "--debug"]
    command = ["search", "--model", "fake:model", "--data", "fake:data", *common]
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", secret)
        assert command_line([*command, "--out", str(tmp_path / "a"), "--storage", postgresql.url()]) == 0
        started = [
            sys.executable,
            "-c",
            "from litetuner.cli import main; main()",
            *command,
            "--out",
            str(tmp_path / "a2"),
            "--storage",
        ]
        done = subprocess.run([*started, postgresql.url()], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and secret not in done.stdout + done.stderr
    (tmp_path / "search.toml").write_text(f'storage = "{postgresql.url(secret)}"\n')
    assert command_line(["search", str(tmp_path / "search.toml"), *command[1:], "--out", str(tmp_path / "b")]) == 0
    (tmp_path / "search.toml").unlink()
    fake_search(tmp_path / "c", trials=6, storage=postgresql.url(secret))
    ended.set()
    watcher.join()
    said = capfd.readouterr()
    for text in (said.out, said.err, caplog.text, *(line.decode(errors="replace") for line in lines)):
        assert secret not in text
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [str(file) for file in files if secret.encode() in file.read_bytes()] == []
    assert {file.parts[len(tmp_path.parts)] for file in files if file.name == "litetuner.toml"} == {"a", "a2", "b", "c"}
    assert any(f"127.0.0.1:{postgresql.port}".encode() in file.read_bytes() for file in files), "the address is kept"
    assert any(b"litetuner.cli" in line for line in lines), "the watcher saw nothing"


def test_a_password_in_a_command_line_is_refused(postgresql: Any, capfd: pytest.CaptureFixture[str]) -> None:
    url = postgresql.url(postgresql.password)
    assert command_line(["search", "--model", "fake:model", "--data", "fake:data", "--storage", url]) == 2
    said = capfd.readouterr()
    assert "PGPASSWORD" in said.err and postgresql.password not in said.err + said.out


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_a_server_that_cannot_be_used_is_an_error_before_anything_is_computed(
    postgresql: Any, tmp_path: Path, wrong: str
) -> None:
    url = postgresql.url(f"{postgresql.password}x" if wrong == "password" else postgresql.password)
    url = url.replace("/postgres", "/nothing") if wrong == "database" else url
    url = url.replace(f":{postgresql.port}", ":1") if wrong == "port" else url
    with pytest.raises(HostError, match=r"storage: postgresql://tester@127.0.0.1:[0-9]+/.* cannot be used: ") as caught:
        fake_search(tmp_path / "run", trials=3, storage=url)
    error: BaseException | None = caught.value
    while error is not None:
        assert postgresql.password not in str(error) + repr(error)
        error = error.__cause__ or error.__context__
    assert not RunFolder(tmp_path / "run").trials()


def test_without_psycopg_it_says_what_to_install(
    postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(HostError, match=r"pip install 'litetuner\[postgresql\]'"):
        fake_search(tmp_path / "run", trials=3, storage=postgresql.url(postgresql.password))


def test_a_server_that_goes_away_loses_nothing(postgresql: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"

    class Stopping(Listener):
        def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
            if len(trials) == 6:
                postgresql.stop()

    with pytest.raises(HostError, match="cannot be used") as caught:
        run_search(fake_config(path, trials=12, storage=postgresql.url(postgresql.password)), Stopping())
    assert "repeat the command" in str(caught.value) and postgresql.password not in str(caught.value)
    before = {trial.number: trial.candidate for trial in RunFolder(path).trials()}
    assert 6 <= len(before) < 12
    postgresql.start()
    fake_search(path, trials=12, storage=postgresql.url(postgresql.password))
    trials, theirs = read_run(path).trials, database(postgresql, path)
    assert {number: trials[number].candidate for number in before} == before
    assert [trial.number for trial in theirs] == [trial.number for trial in trials]
    assert all(trial.state.is_finished() for trial in theirs)
