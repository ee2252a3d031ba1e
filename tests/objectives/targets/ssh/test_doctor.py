"""What ``doctor`` is told of an ssh target, and what its far end does by itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from litetuner.objectives.targets.ssh import client as ssh_client
from litetuner.objectives.targets.ssh import remote as far
from litetuner.objectives.targets.target import Finding
from tests.objectives.targets.ssh.sshd import LACKING, REASON

pytestmark = [pytest.mark.service, pytest.mark.skipif(bool(LACKING), reason=REASON)]


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_says_so_itself():
    program = f"import sys; sys.version_info, sys.version = (3, 8, 1), '3.8.1'; {ssh_client.BOOT}"
    done = subprocess.run([sys.executable, "-c", program], input="", capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.strip() == "litetuner needs Python 3.10 or newer, this is 3.8.1"


def test_models_that_were_used_longest_ago_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(far, "KEPT_BYTES", 250)
    for age, name in enumerate(("new", "middle", "old", "used")):
        (tmp_path / f"{name}.tflite").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.tflite", (1e9 - age, 1e9 - age))
    (tmp_path / "in-leftover").mkdir()
    os.utime(tmp_path / "in-leftover", (1e9, 1e9))
    far.tidy(tmp_path, {tmp_path / "used.tflite"})
    assert {path.name for path in tmp_path.iterdir()} == {"new.tflite", "middle.tflite", "used.tflite"}


def test_the_far_end_answers_without_a_connection(tmp_path, monkeypatch):
    request = {"folder": str(tmp_path / "f"), "incoming": "in-1", "files": {"a.tflite": "0" * 64}, "argv": []}
    monkeypatch.setattr(far.sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(request).encode() + b"\n")))
    monkeypatch.setattr(far.sys, "stdout", output := io.StringIO())
    monkeypatch.setattr(far.os, "_exit", lambda code: None)
    far.main()
    answer = json.loads(output.getvalue().removeprefix(far.MARK))
    assert answer["missing"] == ["a.tflite"] and answer["about"]["executable"] == sys.executable


def test_check_says_what_works(sshd):
    found = {finding.about: finding for finding in sshd.target().check()}
    assert {name: found[name].status for name in ("connection", "python", "packages", "timing")} == {
        "connection": "works",
        "python": "works",
        "packages": "works",
        "timing": "works",
    }
    assert "tiny model takes" in found["timing"].text


@pytest.mark.parametrize(
    ("options", "about", "words"),
    [
        ({"port": 1}, "connection", "switched on"),
        ({"python": "/nowhere/python3"}, "connection", "/nowhere/python3"),
        ({"delegate": Path("/nowhere/lib.so")}, "timing", "lib.so"),
        ({"core": "999"}, "timing", "999"),
    ],
)
def test_check_says_what_does_not_and_what_to_do(sshd, options, about, words):
    last = sshd.target(**options).check()[-1]
    assert isinstance(last, Finding) and (last.about, last.status) == (about, "fails")
    assert words in last.text + last.remedy


def test_check_of_a_python_without_packages(sshd, tmp_path):
    last = sshd.target(python=script(tmp_path / "bare", f'exec {sys.executable} -S "$@"')).check()[-1]
    assert (last.about, last.status) == ("packages", "fails") and "pip install ai-edge-litert" in last.remedy
