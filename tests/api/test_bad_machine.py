"""A machine or a run folder that does not play along: said clearly, and nothing lost."""

from __future__ import annotations

import json
import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.cli import run as cli
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.errors import BuildFailed, Lost
from litetuner.spaces.info import DataInfo
from litetuner.spaces.jobs.job import Job
from litetuner.spaces.store import append
from tests.api.here import Here

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake"]


# This machine


@pytest.mark.parametrize(("encoding", "remedy"), [("utf-8", "Rename the file"), ("ascii", "LC_ALL=C.UTF-8")])
def test_an_argument_that_is_not_utf8(
    encoding: str, remedy: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the locale C every name beyond ASCII comes so: then it is not the file that is at fault."""
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: encoding)
    assert cli(["search", *FAKE, "--out", "\udcc3\udca9"]) == 2
    assert remedy in capfd.readouterr().err


def test_a_worker_that_does_not_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_file: Path,
    data_file: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    inputs = [
        "--model",
        str(model_file),
        "--data",
        str(data_file),
        "--target",
        "fake",
    ]  # no interpreter is needed for it
    code = cli(["search", *inputs, "--out", str(tmp_path / "run")])
    out, err = capfd.readouterr()
    assert (code, out) == (3, "") and "Traceback" not in err
    assert "the build worker does not start" in err and "code 1" in err and "litetuner doctor" in err


@pytest.mark.parametrize(("failure", "code"), [(BuildFailed, 2), (Lost, 3)])
def test_an_inspection_that_kills_its_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[Exception],
    code: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def submit(self: Executor, job: Job[Any], log: Path | None = None) -> Future[JobResult[Any]]:
        path = self.folder.path / "cache" / "logs" / "build-1.log"
        append(path, b"what the library said")
        raise failure(f"the process died by SIGSEGV while inspect; its log is {path}")

    monkeypatch.setattr("litetuner.search.runtime.executors.fake.Fake.submit", submit)
    assert cli(["search", *FAKE, "--out", str(tmp_path / "run")]) == code
    err = capfd.readouterr().err
    assert "SIGSEGV" in err and "inspect" in err and "internal" not in err
    (named,) = re.findall(r"its log is (\S+\.log)", err)
    assert Path(named).read_text() == "what the library said"


@pytest.mark.parametrize("failure", [BuildFailed, Lost])
def test_a_sensitivity_that_cannot_be_measured_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    real = EXECUTORS["fake"].submit

    def submit(self: Executor, job: Job[Any], log: Path | None = None) -> Future[JobResult[Any]]:
        if job.verb == "measure_layers":
            raise failure("by design")
        return real(self, job, log)

    monkeypatch.setattr("litetuner.search.runtime.executors.fake.Fake.submit", submit)
    assert cli(["search", *FAKE, "--out", str(tmp_path / "run"), "--trials", "7"]) == 0
    assert not (tmp_path / "run" / "sensitivity.json").exists(), "it is measured when the search goes on"


# The run folder


def test_a_run_folder_below_a_file_or_that_is_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out, part in (
        (file / "run", "Not a directory"),
        (file, "is a file, not a folder"),
        (Path("/proc/x"), "/proc/x"),
    ):
        assert cli(["search", *FAKE, "--trials", "2", "--out", str(out)]) == 2
        err = capfd.readouterr().err
        assert str(out) in err and part in err and "--out" in err
    assert file.read_text() == "mine"


def test_a_run_folder_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"{name}.keras").write_text(name)
    Path("d.npz").write_text("d")
    arguments = ["--data", "d.npz", "--executor", "fake", "--target", "fake", "--trials", "2", "--out", "run"]
    assert cli(["search", "--model", "a.keras", *arguments]) == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*.json")}
    capfd.readouterr()
    assert cli(["search", "--model", "b.keras", *arguments]) == 2
    err = capfd.readouterr().err
    for part in ("run holds another run", "model: a.keras (sha256", "there, b.keras (sha256", "--out"):
        assert part in err
    assert cli(["search", "--model", "a.keras", *arguments, "--seed", "3"]) == 2
    assert "seed: 0 there, 3 now" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in Path("run").rglob("*.json")} == before
    # A path may be written in another way; what it holds is the same.
    assert cli(["search", "--model", str(tmp_path / "a.keras"), *arguments]) == 0


def test_simulated_and_real_results_never_share_a_folder(
    tmp_path: Path,
    model_file: Path,
    data_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["search", "--model", str(model_file), "--data", str(data_file), "--trials", "2", "--out", "run"]
    assert cli([*arguments, "--executor", "fake", "--target", "fake"]) == 0
    capfd.readouterr()
    assert cli(arguments) == 2
    assert "simulated" in capfd.readouterr().err


def test_the_same_command_works_once_the_data_are_mended(
    tmp_path: Path, model_file: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXECUTORS, "here", Here)
    monkeypatch.setattr("litetuner.search.loop.Loop.run", lambda self: "stopped by the test")
    spoilt = dict(arrays)
    spoilt["y_search"] = spoilt["y_search"] + 1000
    path, out = tmp_path / "data.npz", tmp_path / "run"
    out.mkdir()  # so the folder stays
    arguments = ["search", "--model", str(model_file), "--data", str(path), "--out", str(out), "--executor", "here"]
    np.savez(path, **spoilt)  # type: ignore[arg-type]
    assert cli(arguments) == 2
    assert (out / "identity.json").exists()
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert cli(arguments) == 1, "nothing was tried, but the data were taken"
    data = DataInfo.from_json((RunFolder(out).read("inspection") or {})["data"])
    assert set(data.arrays) == {f"{axis}_{split}" for axis in "xy" for split in ("train", "search", "test")}
    for at, blob in enumerate(data.arrays.values()):  # in a copy, whose original is gone
        moved = out.rename(tmp_path / f"moved{at}")
        file = moved / "cache" / "blobs" / blob
        file.write_bytes(file.read_bytes()[:-1] + b"?") if at % 2 else file.unlink()
        out = moved
    assert cli([*arguments[:-3], str(out), *arguments[-2:]]) == 1
    assert DataInfo.from_json((RunFolder(out).read("inspection") or {})["data"]) == data
    assert all(RunFolder(out).blobs.has(blob) for blob in data.arrays.values())


def test_a_damaged_study_is_named_and_made_again_from_the_records(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["search", *FAKE, "--out", str(out)]
    assert cli([*arguments, "--trials", "6"]) == 0
    for path in out.glob("study.db*"):
        path.unlink()
    (out / "study.db").write_text("this is no database, and long enough to be taken for a damaged one" * 20)
    capfd.readouterr()
    assert cli([*arguments, "--trials", "9", "--json"]) == 0
    said = capfd.readouterr()
    assert "study.db cannot be used" in said.err and "filled again from the records of 6 trials" in said.err
    assert sum(json.loads(said.out)["counts"].values()) == 9
    assert len(list(out.glob("trials/*/trial.json"))) >= 9


def test_a_damaged_record_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["search", *FAKE, "--out", str(out), "--trials", "3"]
    assert cli(arguments) == 0
    (out / "trials" / "0001" / "trial.json").write_text("{")
    for command in (arguments, ["status", str(out)], ["report", str(out)]):
        capfd.readouterr()
        assert cli(command) == 2
        err = capfd.readouterr().err
        assert "0001/trial.json is damaged" in err and "Remove it" in err
