"""A disk that is full in the middle of a search: a clear error, nothing that was told is lost, and it goes on later."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litetuner.cli import run as cli
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.trial import State

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake", "--max-drop", "3%"]
TRIALS = 10
History = list[tuple[str, str, dict[str, float]]]


def arguments(out: Path, trials: int = TRIALS) -> list[str]:
    return ["search", *FAKE, "--out", str(out), "--trials", str(trials)]


def told(path: Path) -> History:
    return [
        (trial.candidate.key, str(trial.state), {name: item.value for name, item in trial.measurements.items()})
        for trial in RunFolder(path).trials()
        if trial.state is not State.LOST
    ]


class FullDisk:
    """``os.replace`` as the store calls it; the disk is full for good from the call ``at`` on."""

    def __init__(self, at: float = float("inf")) -> None:
        self.at = at
        self.calls = 0
        self._replace = os.replace

    def __call__(self, source: Any, target: Any) -> None:
        self.calls += 1
        if self.calls > self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        self._replace(source, target)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, int]:
    """What a search tells that has room enough, and how many files it writes."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk()
        patch.setattr("litetuner.spaces.store.os.replace", disk)
        assert cli(arguments(path)) == 0
    return told(path), disk.calls


@pytest.mark.parametrize("share", [0.0, 0.02, 0.25, 0.6, 0.9, 0.995])
def test_whenever_the_disk_is_full_the_search_can_go_on(
    share: float, tmp_path: Path, undisturbed: tuple[History, int], capfd: pytest.CaptureFixture[str]
) -> None:
    expected, writes = undisturbed
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litetuner.spaces.store.os.replace", FullDisk(at=int(share * writes)))
        assert cli(arguments(out)) == 3
    printed, err = capfd.readouterr()
    assert printed == "" and "Traceback" not in err
    assert "No space left on device" in err and str(out) in err and "repeat the command" in err
    kept = told(out)
    assert kept == expected[: len(kept)], "what was told stays as it was told"
    assert cli(arguments(out)) == 0
    assert told(out) == expected
    assert not [path for path in out.rglob(".*") if path.is_file() and "lock" not in path.name], (
        "no torn files are left"
    )


CHILD = "from litetuner.cli import main; main({arguments!r})"


def in_child(arguments: list[str], largest_file: int) -> subprocess.CompletedProcess[str]:
    """The command line in a process that may write no file larger than ``largest_file`` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    code = CHILD.format(arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, preexec_fn=limit, check=False
    )


def test_a_study_that_cannot_grow(tmp_path: Path) -> None:
    """The database fails where files still could be written; its error is named, and the records fill it up again."""
    out = tmp_path / "run"
    done = in_child(arguments(out, trials=40), largest_file=700_000)
    assert done.returncode == 3, done.stderr
    assert "study.db" in done.stderr and "repeat the command" in done.stderr and "Traceback" not in done.stderr
    kept = told(out)
    assert 0 < len(kept) < 40
    assert cli(arguments(out, trials=len(kept) + 3)) == 0
    assert told(out)[: len(kept)] == kept


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB in memory."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_small_disk_really_full(
    small_disk: Path, undisturbed: tuple[History, int], capfd: pytest.CaptureFixture[str]
) -> None:
    expected, _ = undisturbed
    out = small_disk / "run"
    assert cli(arguments(out)) == 3
    printed, err = capfd.readouterr()
    assert printed == "" and "Traceback" not in err and "repeat the command" in err
    kept = told(out)
    assert kept == expected[: len(kept)]
    assert cli(["status", str(out), "--json"]) in (0, 2), "reading needs no space"
    capfd.readouterr()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert cli([*arguments(out), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["best"] is not None
    assert told(out) == expected
    assert read_run(out).picks
