"""The contract of every target, and what the host does when the process that times ends badly."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from litetuner.objectives.environment import PACKAGES, environment, host_warnings
from litetuner.objectives.measurement import Measurement
from litetuner.objectives.runner import machine as runner_machine
from litetuner.objectives.runner import runner
from litetuner.objectives.targets import TARGETS
from litetuner.objectives.targets import host as host_module
from litetuner.objectives.targets.fake import Fake
from litetuner.objectives.targets.host import Host
from litetuner.spaces.errors import BuildFailed, CandidateError, HostError, Lost

ALONE = sorted(name for name, kind in TARGETS.items() if kind.alone)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two small real files, and one that is no model."""
    from litetuner.spaces import tf as lazy

    tf = lazy.load()
    import tf_keras

    folder = tmp_path_factory.mktemp("files")
    for name, units in (("small", 16), ("large", 2000)):
        model = tf_keras.Sequential(
            [tf_keras.layers.Input((256,)), tf_keras.layers.Dense(units), tf_keras.layers.Dense(4)]
        )
        with lazy.quiet_stdout():
            (folder / f"{name}.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    (folder / "empty.tflite").write_bytes(b"")
    return folder


def test_targets_are_registered():
    assert {"host", "fake"} <= set(ALONE)


@pytest.mark.parametrize("name", sorted(set(TARGETS) - set(ALONE)))
def test_what_needs_another_machine_has_tests_of_its_own(name):
    own = Path(__file__).parent
    assert (own / name / "test_target.py").is_file() or (own / f"test_{name}.py").is_file()


@pytest.mark.parametrize("name", ALONE)
def test_contract(name, files):
    timing = TARGETS[name]().time(files / "small.tflite", files / "large.tflite")
    for part in (timing.latency_us, timing.baseline_us):
        assert part.unit == "us" and part.environment and part.samples
        assert part.interval[0] <= part.value <= part.interval[1]
        assert math.isfinite(part.value) and part.value > 0
        assert Measurement.from_json(part.to_json()) == part
    assert timing.ratio > 1.5  # 120 times the work
    assert timing.ratio == pytest.approx(timing.baseline_us.value / timing.latency_us.value, rel=0.3)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("file", ["missing", "empty"])
def test_contract_of_unusable_files(name, file, files):
    with pytest.raises(CandidateError, match=file):
        TARGETS[name]().time(files / f"{file}.tflite", files / "small.tflite")


def test_fake_is_a_function_of_the_bytes(files):
    small, large = files / "small.tflite", files / "large.tflite"
    assert Fake().time(small, large) == Fake().time(small, large)
    assert Fake().time(small, small).ratio == 1
    assert Fake().time(small, large, threads=2).latency_us.value * 2 == Fake().time(small, large).latency_us.value


def test_host_gives_the_details(files):
    timing = Host().time(files / "small.tflite", files / "large.tflite")
    extra = timing.latency_us.extra
    assert {"p50", "p90", "p99", "load_us", "first_invoke_us", "stable", "instability", "ratio", "attempts"} <= set(
        extra
    )
    assert extra["sha256"] == hashlib.sha256((files / "small.tflite").read_bytes()).hexdigest()
    assert extra["ratio"]["value"] == timing.ratio
    assert timing.latency_us.environment["target"] == "host"


def test_host_measures_alone(files):
    found = Host(max_seconds=2.0).measure(files / "small.tflite")
    assert found["baseline"] is None and found["latency_us"]["value"] > 0


def stand_in(tmp_path, monkeypatch, body: str) -> None:
    """Put another program in the runner's place."""
    script = tmp_path / "stand_in.py"
    script.write_text(f"import os, signal, sys, time, json\n{body}\n")
    monkeypatch.setattr(host_module.runner, "__file__", str(script))


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_crash_of_the_runtime_fails_the_candidate(files, tmp_path, monkeypatch, name):
    stand_in(tmp_path, monkeypatch, f"os.kill(os.getpid(), signal.{name})")
    with pytest.raises(BuildFailed, match=name):
        Host().time(files / "small.tflite", files / "large.tflite")


@pytest.mark.parametrize("body", ["os._exit(3)", "sys.stderr.write('INFO: a delegate\\n'); os._exit(3)", "os._exit(1)"])
def test_a_runtime_that_ends_the_process_fails_the_candidate(files, tmp_path, monkeypatch, body):
    stand_in(tmp_path, monkeypatch, body)
    with pytest.raises(BuildFailed, match=r"ended with code [13] on"):
        Host().time(files / "small.tflite", files / "large.tflite")


def test_a_killed_runner_is_lost(files, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(Lost, match="SIGKILL"):
        Host().time(files / "small.tflite", files / "large.tflite")


def test_a_runner_without_end_is_stopped_and_lost(files, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    with pytest.raises(Lost, match="1 s"):
        Host(timeout_seconds=1.0).time(files / "small.tflite", files / "large.tflite")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_a_runner_has_started_ends_with_it(files, tmp_path, monkeypatch):
    """A delegate may fork: the child holds the pipes, outlives the runner, and ends all the same."""
    pid = tmp_path / "pid"
    body = f"child = os.fork()\nif not child: time.sleep(60)\nopen({str(pid)!r}, 'w').write(str(child))\n"
    for ending, error in (("time.sleep(60)", Lost), ("sys.exit('no such library')", HostError)):
        stand_in(tmp_path, monkeypatch, body + ending)
        started = time.monotonic()
        with pytest.raises(error):
            Host(timeout_seconds=2.0).time(files / "small.tflite", files / "large.tflite")
        assert time.monotonic() - started < 20
        left, deadline = int(pid.read_text()), time.monotonic() + 20  # a killed process still needs a core to end
        while psutil.pid_exists(left) and psutil.Process(left).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_runner_that_takes_too_much_memory_fails_the_candidate(files, tmp_path, monkeypatch):
    monkeypatch.setattr(host_module, "MEMORY_SHARE", 200e6 / psutil.virtual_memory().total)
    stand_in(tmp_path, monkeypatch, "held = bytearray(1 << 30)")
    with pytest.raises(BuildFailed, match="ran out of memory"):
        Host().time(files / "small.tflite", files / "large.tflite")


def test_a_runner_without_a_document_is_the_hosts_fault(files, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "sys.exit('no such library')")
    with pytest.raises(HostError, match="no such library"):
        Host().time(files / "small.tflite", files / "large.tflite")


def test_another_file_under_the_clock_is_noticed(files, tmp_path, monkeypatch):
    part = {"sha256": "0" * 64}
    stand_in(tmp_path, monkeypatch, f"print({str({**part, 'baseline': part}).replace(chr(39), chr(34))!r})")
    with pytest.raises(Lost, match="changed while it was measured"):
        Host().time(files / "small.tflite", files / "large.tflite")


def test_a_file_that_is_no_model_fails_the_candidate(files, tmp_path):
    (tmp_path / "noise.tflite").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(BuildFailed, match="not a valid Flatbuffer"):
        Host().time(tmp_path / "noise.tflite", files / "small.tflite")


def test_an_unstable_run_is_repeated_and_the_steadier_kept(monkeypatch, files):
    def run_of(width, stable):
        return {"stable": stable, "ratio": {"value": 1.0, "interval": [1 - width, 1 + width]}}

    runs = [run_of(0.3, False), run_of(0.1, False)]
    monkeypatch.setattr(Host, "_run", lambda self, *_: runs.pop(0))
    assert Host().measure(files / "small.tflite") == run_of(0.1, False) | {"attempts": 2}
    runs = [run_of(0.01, False), run_of(0.1, True)]
    assert Host().measure(files / "small.tflite") == run_of(0.1, True) | {"attempts": 2}
    runs = [run_of(0.3, True)]
    assert Host().measure(files / "small.tflite") == run_of(0.3, True) | {"attempts": 1}


def test_the_environment_of_a_timing_is_clean(monkeypatch, files, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    stand_in(tmp_path, monkeypatch, "sys.exit('OMP ' + os.environ.get('OMP_NUM_THREADS', 'unset'))")
    with pytest.raises(HostError, match="OMP unset"):
        Host().time(files / "small.tflite", files / "large.tflite")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux")
def test_the_runner_dies_with_its_parent_also_while_stopped(files, tmp_path):
    """A parent that is killed by SIGKILL leaves no runner behind."""
    pid_file = tmp_path / "pid"
    argv = [sys.executable, "-P", str(Path(runner.__file__)), str(files / "large.tflite"), "--block-ms", "20000"]
    program = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen({argv!r} + ['--max-seconds', '60', '--parent', str(os.getpid())])\n"
        "time.sleep(3)\n"  # by then it has asked to die with its parent, on a busy machine too
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int(pid_file.read_text())
    os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_environment_knows_the_machine_and_imports_no_package():
    program = (
        "import sys, json; from litetuner.objectives.environment import environment; found = environment();"
        "loaded = [m for m in ('tensorflow', 'keras', 'optuna', 'litert_quantizer') if m in sys.modules];"
        "print(json.dumps([loaded, found]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("[[], {")
    found = environment()
    assert set(found["packages"]) == set(PACKAGES.split()) and found["packages"]["ai-edge-litert"]
    assert found["cpu"] and found["memory_bytes"] > 1e8 and 1 <= found["usable_cores"] <= found["cores"]


def test_warnings_name_what_disturbs(monkeypatch):
    monkeypatch.setattr(runner_machine, "load_average", lambda: [64.0, 64.0, 64.0])
    assert any("64" in warning for warning in host_warnings())
    monkeypatch.setattr(runner_machine, "load_average", lambda: [0.0, 0.0, 0.0])
    monkeypatch.setattr(runner_machine, "describe_machine", lambda cores: {"governor": "powersave"})
    assert any("powersave" in warning for warning in host_warnings())
    assert not any("load average" in warning for warning in host_warnings())
