"""What a run reads, writes and removes is in its folder: links, pipes and devices in it are rejected before they are opened."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from litetuner.cli import run as cli
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.spaces import store
from litetuner.spaces.errors import RunError
from tests.search.fakes import fake_search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    fake_search(path, trials=6)
    return path


def as_link(path: Path, outside: Path) -> None:
    """What stands at ``path`` moves out of the run, and a link to it takes its place."""
    shutil.move(path, outside / "moved")
    path.symlink_to(outside / "moved")


def as_device(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def as_pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_socket(path: Path, outside: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


WAYS: list[tuple[str, Callable[[Path, Path], None]]] = [
    *((name, as_link) for name in ("trials", "artifacts", "cache", "cache/blobs", "trials/0001")),
    *((name, as_link) for name in ("trials/0001/trial.json", "events.jsonl", "finals.json", "study.db")),
    *((name, as_pipe) for name in ("litetuner.toml", "inspection.json", "trials/0001/trial.json")),
    *((name, as_device) for name in ("identity.json", "clock.json")),
    ("environment.json", as_socket),
]


def test_nothing_outside_is_read_or_written(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    for number, (name, change) in enumerate(WAYS):
        run, outside = Path(f"run{number}"), Path(f"outside{number}").absolute()
        shutil.copytree(finished, run)
        outside.mkdir()
        change(run / name, outside)
        before = sorted(outside.rglob("*"))
        for act in (lambda at=run: read_run(at), lambda at=run: fake_search(at, trials=7)):
            with pytest.raises(RunError, match=r"symbolic link|neither a file nor a folder|not a run folder"):
                act()
        assert sorted(outside.rglob("*")) == before, name


def test_the_run_itself_may_be_a_link(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(finished)
    assert len(read_run(tmp_path / "link").trials) == 6


def test_a_huge_file_is_not_read(finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("litetuner.toml", "identity.json", "inspection.json", "trials/0002/trial.json", "clock.json"):
        run = tmp_path / name.replace("/", "-")
        shutil.copytree(finished, run)
        os.truncate(run / name, 1 << 40)  # of which nothing is on the disk
        assert cli(["status", str(run)]) == 2
        assert "more than 64 MB" in capfd.readouterr().err


def test_of_a_huge_log_the_end_counts(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGEST_RECORD", 100_000)
    shutil.copytree(finished, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    os.truncate(folder.path / "events.jsonl", 1 << 40)
    with (folder.path / "events.jsonl").open("ab") as file:
        file.write(b"\n")
    folder.note("opened", pid=1)
    assert [event["event"] for event in folder.events()] == ["opened"]
