"""The ssh target against a real sshd on the loopback address: push, verify, measure, and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pytest

from litetuner.objectives.targets import connection, tiny_model
from litetuner.objectives.targets.connection import PAUSES_SECONDS
from litetuner.objectives.targets.ssh import target as ssh_module
from litetuner.objectives.targets.ssh.client import SshClient
from litetuner.spaces.errors import BuildFailed, HostError, Lost, TargetLost
from tests.objectives.targets.ssh.sshd import LACKING, REASON

pytestmark = [pytest.mark.service, pytest.mark.skipif(bool(LACKING), reason=REASON)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(ssh_module, "PAUSES_SECONDS", (0.0, 0.0, 0.0))


@pytest.fixture
def pushed(monkeypatch):
    """The sha256s of what was pushed, push by push."""
    seen, push = [], SshClient.push

    def record(self, files, folder, timeout_seconds):
        seen.append({file.name for file in files})
        push(self, files, folder, timeout_seconds)

    monkeypatch.setattr(SshClient, "push", record)
    return seen


# Stands in for the runner where what it measures is not the point: takes --max-seconds, and reports what it read.
STAND_IN = """
import hashlib, json, sys, time
flags = dict(zip(sys.argv, sys.argv[1:]))
time.sleep(float(flags["--max-seconds"]))
def read(path): return {"sha256": hashlib.sha256(open(path, "rb").read()).hexdigest()}
found = {**read(sys.argv[1]), "baseline": read(flags["--baseline"]) if "--baseline" in flags else None}
print(json.dumps(found | {"stable": True, "environment": {}}))
"""


@pytest.fixture
def quick(monkeypatch, tmp_path):
    (tmp_path / "runner.py").write_text(STAND_IN)
    parts = {"runner-0/runner.py": tmp_path / "runner.py"}
    monkeypatch.setattr(ssh_module, "_runner_parts", lambda: (parts, "runner-0/runner.py"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_push_verify_measure(sshd, file, pushed):
    target = sshd.target(max_seconds=1.0)
    timing = target.time(file, file)
    assert 0 < timing.latency_us.value < 1000 and timing.ratio == pytest.approx(1, rel=0.5)
    environment = timing.latency_us.environment
    assert environment["target"] == "ssh" and environment["host"] == "127.0.0.1" and environment["cpu"]
    assert environment["safe_path"] is (sys.version_info >= (3, 11))
    assert timing.latency_us.extra["sha256"] == digest(file)
    folder = sshd.folder / "far"
    assert (folder / f"{digest(file)}.tflite").read_bytes() == file.read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700 and not list(folder.glob("in-*"))
    assert len(pushed) == 1 and digest(file) in pushed[0] and len(pushed[0]) > 1  # with the runner
    sshd.target()._run(file, file, 1)
    assert len(pushed) == 1  # all of it is there and verified


@pytest.mark.parametrize("which", ["model", "runner", "link"])
def test_a_wrong_file_on_the_far_side_is_noticed_and_pushed_anew(sshd, file, quick, pushed, which, tmp_path):
    target = sshd.target()
    target.measure(file)
    pushed.clear()
    folder = sshd.folder / "far"
    wrong = folder / f"{digest(file)}.tflite" if which != "runner" else folder / "runner-0" / "runner.py"
    content = wrong.read_bytes()
    if which == "link":  # the right bytes, for now, in a place that is not ours
        (tmp_path / "elsewhere").write_bytes(content)
        wrong.unlink()
        wrong.symlink_to(tmp_path / "elsewhere")
    else:
        wrong.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # the same size
    document = target.measure(file)
    assert document["sha256"] == digest(file)
    assert pushed == [{hashlib.sha256(content).hexdigest()}]
    assert wrong.read_bytes() == content and not wrong.is_symlink()


@pytest.mark.parametrize("times", [1, 4])
def test_what_does_not_arrive_whole_is_never_timed(sshd, file, quick, pushed, monkeypatch, times):
    push = SshClient.push
    shutil.rmtree(sshd.folder / "far", ignore_errors=True)

    def truncate(self, files, folder, timeout_seconds):
        push(self, files, folder, timeout_seconds)
        if len(pushed) <= times:
            os.truncate(Path(folder) / digest(file), 100)

    monkeypatch.setattr(SshClient, "push", truncate)
    if times == 1:
        assert sshd.target().measure(file)["sha256"] == digest(file) and len(pushed) == 2
        return
    with pytest.raises(TargetLost, match="did not arrive whole"):
        sshd.target().measure(file)
    assert len(pushed) == 4 and not list((sshd.folder / "far").glob("in-*"))
    assert not (sshd.folder / "far" / f"{digest(file)}.tflite").exists()


def test_another_file_under_the_clock_is_noticed(sshd, file, monkeypatch, tmp_path):
    stand_in = tmp_path / "runner.py"
    stand_in.write_text("import json; print(json.dumps({'sha256': '0' * 64, 'baseline': None}))")
    monkeypatch.setattr(ssh_module, "_runner_parts", lambda: ({"runner-0/runner.py": stand_in}, "runner-0/runner.py"))
    with pytest.raises(Lost, match="changed while it was measured"):
        sshd.target().measure(file)


def drop_sessions(sshd, count: int, ended: list[psutil.Process]) -> threading.Thread:
    """Cut the connection under the next ``count`` timings, while they run."""

    def work():
        for _ in range(count):
            deadline = time.monotonic() + 20
            while (found := sshd.timing()) is None or found in ended:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.005)
            ended.append(found)
            sshd.drop(found)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive


def test_a_connection_that_drops_is_tried_again_and_leaves_no_timing_behind(sshd, file, quick):
    ended: list[psutil.Process] = []
    thread = drop_sessions(sshd, 2, ended)
    document = sshd.target().measure(file)
    thread.join()
    assert document["sha256"] == digest(file) and len(ended) == 2
    wait_for_end(ended)


def test_a_connection_that_drops_every_time_is_a_lost_target(sshd, file, quick):
    ended: list[psutil.Process] = []
    thread = drop_sessions(sshd, 4, ended)
    target = sshd.target()
    with pytest.raises(TargetLost, match=r"did not come back in 4 tries\. Try by hand: ssh -F") as found:
        target.measure(file)
    thread.join()
    assert found.value.target == target.client.address and len(ended) == 4
    wait_for_end(ended)


def test_the_pauses_grow(sshd, file, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(ssh_module, "PAUSES_SECONDS", PAUSES_SECONDS)
    monkeypatch.setattr(connection, "time", types.SimpleNamespace(sleep=pauses.append))
    with pytest.raises(TargetLost, match="refused"):
        sshd.target(port=1).measure(file)  # nothing listens there
    assert len(pauses) == 3 and 0 < pauses[0] < pauses[1] < pauses[2]


def test_a_timing_that_nobody_waits_for_is_killed(sshd, file, quick):
    target = sshd.target(max_seconds=60.0, timeout_seconds=1.0)
    with pytest.raises(Lost, match="more than 1 s and was stopped") as found:
        target._once(file, None, 1)
    assert not isinstance(found.value, TargetLost)
    assert sshd.timing() is None


def test_two_timings_on_one_machine_wait_for_each_other(sshd, file, quick):
    target, documents = sshd.target(max_seconds=1.5), []
    threads = [threading.Thread(target=lambda: documents.append(target._once(file, None, 1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(document["environment"]["waited_seconds"] for document in documents) > 0.2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"known_hosts": "no_hosts"}, r"verification failed.*compare the fingerprint and accept it: ssh -F"),
        ({"known_hosts": "changed_hosts"}, r"has changed.*ssh-keygen -R '\[127\.0\.0\.1\]:"),
        ({"key": "other_key"}, r"Permission denied.*ssh-copy-id"),
    ],
)
def test_keys_that_do_not_fit_are_told_and_not_tried_again(sshd, file, options, match):
    with pytest.raises(HostError, match=f"(?s){match}"):
        sshd.target(config=sshd.config(**options)).measure(file)


def test_a_bad_configuration_of_ssh_is_told(sshd, file, tmp_path):
    (tmp_path / "config").write_text("Nonsense yes\n")
    with pytest.raises(HostError, match="Fix the configuration of ssh"):
        sshd.target(config=tmp_path / "config").measure(file)


def test_pythons_that_do_not_do(sshd, file, tmp_path):
    with pytest.raises(HostError, match=r"there is no '/nowhere/python3'.*ai-edge-litert is needed"):
        sshd.target(python="/nowhere/python3").measure(file)
    bare = script(tmp_path / "bare", f'exec {sys.executable} -S "$@"')
    with pytest.raises(HostError, match=r"no ai-edge-litert and no numpy\. .*pip install ai-edge-litert"):
        sshd.target(python=bare).measure(file)
    broken = script(tmp_path / "broken", "echo Illegal instruction >&2; exit 3")
    with pytest.raises(HostError, match="ended with code 3: Illegal instruction"):
        sshd.target(python=broken).measure(file)
    old = script(tmp_path / "old", "echo 'litetuner needs Python 3.10 or newer, this is 3.8.1' >&2; exit 1")
    with pytest.raises(HostError, match=r"this is 3\.8\.1.*name it by \?python="):
        sshd.target(python=old).measure(file)


def test_what_a_login_script_prints_does_no_harm(sshd, file, quick, tmp_path):
    noisy = script(tmp_path / "noisy", f'echo Welcome; echo \'{{"missing": []}}\'; exec {sys.executable} "$@"')
    assert sshd.target(python=noisy).measure(file)["sha256"] == digest(file)


def test_a_file_that_is_no_model_fails_the_candidate(sshd, tmp_path):
    (tmp_path / "noise.tflite").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(BuildFailed, match="not a valid Flatbuffer"):
        sshd.target().measure(tmp_path / "noise.tflite")
    with pytest.raises(Lost, match="gone"):
        sshd.target().measure(tmp_path / "gone.tflite")


def test_a_folder_that_is_not_ours_is_refused(sshd, file, quick, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(HostError, match=r"not a folder of our own.*\?folder="):
        sshd.target(folder=str(tmp_path / "link")).measure(file)
    (tmp_path / "real").chmod(0o755)
    sshd.target(folder=str(tmp_path / "real")).measure(file)
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_told_before_anything_is_pushed(sshd, file, pushed):
    digests = {digest(file): file}
    with pytest.raises(HostError, match="1456 bytes are to be pushed and 100 are free"):
        sshd.target()._push(digests, "in-0", {"free_bytes": 100})
    assert not pushed


def test_a_machine_without_ssh_says_what_to_install(sshd, file, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="openssh-client"):
        sshd.target().measure(file)
