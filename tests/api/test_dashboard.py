"""optuna-dashboard over a run: it starts, answers on the loopback address only, touches nothing, and ends with its parent."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from litetuner.cli import run as cli
from tests.search.fakes import fake_search

pytestmark = pytest.mark.service

DASHBOARD = [sys.executable, "-c", "from litetuner.cli import main; main()", "dashboard"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dashboard") / "run"
    fake_search(path, trials=8, database=True)
    return path


@pytest.fixture(scope="module")
def served(run: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command as a child, and its address."""
    pytest.importorskip("optuna_dashboard")
    child = subprocess.Popen(
        [*DASHBOARD, str(run), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    yield url.removesuffix("/dashboard"), child
    child.kill()
    child.wait()


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        content: bytes = answer.read()
        return content


def test_it_shows_the_run_and_its_files(run: Path, served: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = served
    assert b"<html" in get(f"{url}/dashboard").lower()
    study: dict[str, Any] = json.loads(get(f"{url}/api/studies/0"))
    record = [json.loads(path.read_text()) for path in sorted((run / "trials").glob("*/trial.json"))]
    assert len(study["trials"]) == len(record)
    for shown, trial in zip(study["trials"], record, strict=True):
        facts = {item["key"]: item["value"] for item in shown["user_attrs"]}
        assert facts["label"] == trial["label"] and facts["state"] == trial["state"]
        values = {item["name"]: item["param_external_value"] for item in shown["params"]}
        for name, entry in trial["params"].items():  # what was chosen, not its position among the options
            chosen = entry["chosen"]
            numeric = isinstance(chosen, int | float) and not isinstance(chosen, bool)
            assert float(values[name]) == chosen if numeric else values[name] == str(chosen), name
        began, ended = (datetime.fromisoformat(shown[name]) for name in ("datetime_start", "datetime_complete"))
        assert (ended - began).total_seconds() == pytest.approx(sum(trial["seconds"].values()), abs=1e-3)
        if trial["state"] in ("COMPLETE", "INFEASIBLE"):
            assert shown["values"][0] == pytest.approx(trial["measurements"]["metric"]["value"])
            assert all(value <= 0 for value in shown["constraints"]) == (trial["state"] == "COMPLETE")
    kept = next(trial for trial in record if trial["sha256"])
    content = get(f"{url}/artifacts/0/{kept['number']}/{kept['sha256']}")
    assert hashlib.sha256(content).hexdigest() == kept["sha256"]


def test_only_this_machine_is_answered(served: tuple[str, subprocess.Popen[str]]) -> None:
    url, child = served
    addresses = {item.laddr.ip for item in psutil.Process(child.pid).net_connections() if item.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(f"{url}/api/studies", Host="elsewhere.example")


def test_nothing_that_is_done_there_changes_the_run(run: Path, served: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = served
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    kept = next(path for path in (run / "artifacts").iterdir())
    for path in (f"/api/artifacts/0/0/{kept.stem}", "/api/studies/0"):
        request = urllib.request.Request(url + path, method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=20).close()
        except urllib.error.HTTPError as refused:
            assert refused.code >= 400
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_signal_ends_it(run: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    child = subprocess.Popen([*DASHBOARD, str(run), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline().startswith(b"http://127.0.0.1:")
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 0
    child.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_it_ends_with_its_parent(run: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    started = (
        "import subprocess, sys; c = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE); c.stdout.readline(); "
        "print(c.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", started, *DASHBOARD, str(run), "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server outlives its parent"
        time.sleep(0.05)


def test_without_the_package_it_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from litetuner.spaces.errors import HostError

    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    from litetuner.search.runs.dashboard import serve

    with pytest.raises(HostError, match=r"pip install 'litetuner\[dashboard\]'"), serve(run, 0):
        pass


def test_a_port_that_is_taken_and_a_folder_that_is_no_run(
    run: Path, tmp_path: Path, served: tuple[str, subprocess.Popen[str]]
) -> None:
    from litetuner.search.runs.dashboard import serve
    from litetuner.spaces.errors import HostError, RunError

    with (
        pytest.raises(HostError, match="Give another one"),
        serve(run, int(served[0].rpartition(":")[2])),
    ):
        pass
    with pytest.raises(RunError, match="is not a run folder"), serve(tmp_path, 0):
        pass
    assert cli(["dashboard", "--help"]) == 0
