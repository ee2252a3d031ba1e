"""TensorFlow Lite Micro as a target: the real interpreter on tiny files, in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.tflm import interpreter
from litetuner.objectives.tflm.interpreter import run_micro
from litetuner.spaces.errors import BuildFailed, ConfigError, HostError
from tests.objectives.micro_files import INT8, NO_KERNEL

pytestmark = pytest.mark.skipif(not interpreter.installed(), reason="the extra tflm is not installed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "int8.tflite"
    path.write_bytes(INT8)
    return path


def test_it_tells_the_arena_and_no_latency(file: Path) -> None:
    timing = find_target("tflm").target.time(file, file)
    assert timing.latency_us is None and timing.misfit == ""
    arena = timing.others["arena_bytes"]
    assert arena.value == arena.extra["head_bytes"] + arena.extra["tail_bytes"]
    assert 576 <= arena.extra["head_bytes"] < 4096, (
        "input 192 bytes and the convolution's output 288, aligned, at least"
    )
    assert "32-bit device" in arena.environment["method"]


def test_outputs_are_compared_with_reference_kernels() -> None:
    x = np.random.default_rng(0).normal(size=(7, 8, 8, 3)).astype(np.float32)
    found = find_target("tflm").target.predict(INT8, x, None)
    assert found.outputs.shape == (7, 4) and np.allclose(found.outputs.sum(axis=1), 1, atol=0.05), "a softmax"
    assert len({row.tobytes() for row in found.outputs}) > 1
    assert found.about["samples"] == 7 and 0 <= found.about["equal"] <= 7
    assert found.about["largest"] <= 2, "steps of an int8 softmax"


def test_reference_kernels_that_abort_leave_a_score_without_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    real = interpreter.python_command

    def aborting(*arguments: str) -> list[str]:
        return [sys.executable, "-c", "import os; os.abort()"] if "reference" in arguments else real(*arguments)

    monkeypatch.setattr(interpreter, "python_command", aborting)
    found = find_target("tflm").target.predict(INT8, x, None)
    assert found.outputs.shape == (2, 4) and "equal" not in found.about
    assert found.about["reference"] == "none: LiteRT's reference kernels do not run it"


def test_a_missing_kernel_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sign.tflite"
    path.write_bytes(NO_KERNEL)
    assert find_target("tflm").target.time(path, path).misfit == "TensorFlow Lite Micro has no kernel for SIGN"
    path.write_bytes(INT8[:1000])
    assert "does not run the file" in find_target("tflm").target.time(path, path).misfit


def test_a_crash_and_a_hang_end_its_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "python_command", lambda *_: [sys.executable, "-c", "import os; os.abort()"])
    with pytest.raises(BuildFailed, match="crashed with SIGABRT"):
        run_micro(INT8)
    monkeypatch.setattr(interpreter, "python_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(BuildFailed, match=r"did not end within 0.3 s"):
        run_micro(INT8, seconds=0.3)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter.version.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    try:
        with pytest.raises(HostError, match=r"pip install --pre 'litetuner\[tflm\]'"):
            run_micro(INT8)
        (finding,) = find_target("tflm").target.check()
        assert finding.status == "fails"
    finally:
        interpreter.version.cache_clear()


def test_more_than_500_samples_are_rejected() -> None:
    with pytest.raises(ConfigError, match="samples must be 0 to 500, not 501"):
        find_target("tflm?samples=501")


def test_an_answer_without_allocations_is_an_error() -> None:
    with pytest.raises(BuildFailed, match="did not report its allocations"):
        interpreter.read_arena("nothing")
