"""Vela as a target: the real compiler on tiny files; its failures by programs that fail as it could."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated

from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.limits import Ended, run_limited
from litetuner.objectives.targets.vela import compiler
from litetuner.spaces.errors import BuildFailed, ConfigError, HostError, Lost
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import pack_model, read_model
from tests.objectives.micro_files import INT8, ON_CPU

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ethosu") is None, reason="the extra vela is not installed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "int8.tflite"
    path.write_bytes(INT8)
    return path


def test_the_numbers_are_those_of_the_tools_own_command_line(file: Path, tmp_path: Path) -> None:
    target = find_target("npu=vela:ethos-u55-64?system=Ethos_U55_Deep_Embedded&memory=Sram_Only").target
    timing = target.time(file, file)
    options = "--accelerator-config ethos-u55-64 --system-config Ethos_U55_Deep_Embedded --memory-mode Sram_Only"
    command = [sys.executable, "-m", "ethosu.vela", str(file), *options.split(), "--output-dir", str(tmp_path / "own")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (summary,) = (tmp_path / "own").glob("*_summary_*.csv")
    names, values = (line.split(",") for line in summary.read_text().splitlines())
    told = dict(zip(names, values, strict=True))
    assert timing.latency_us is not None and timing.latency_us.value == 1e6 * float(told["inference_time"]) > 0
    compiled = (tmp_path / "own" / "int8_vela.tflite").read_bytes()
    assert timing.others["flash_bytes"].value == len(compiled)
    assert timing.others["sram_bytes"].value == 1024 * float(told["sram_memory_used"])
    for measurement in (timing.latency_us, *timing.others.values()):
        assert measurement.environment["estimate"] == f"Vela {compiler.version()}", "it says that it is an estimate"
    assert sum(layer["cycles"] for layer in timing.latency_us.extra["layers"]) > 0
    split = timing.latency_us.extra["delegates"]
    assert split["operators"] == split["delegated"] == len(timing.latency_us.extra["layers"])
    assert target.exported(INT8) == {"ethos-u55-64.tflite": compiled}


def test_a_file_with_an_operator_on_the_cpu_has_no_time(tmp_path: Path) -> None:
    path = tmp_path / "cpu.tflite"
    path.write_bytes(ON_CPU)
    timing = find_target("vela").target.time(path, path)
    assert timing.latency_us is None and timing.ratio is None and set(timing.others) == {"flash_bytes"}
    assert "1 Cumsum" in timing.misfit and "unknown" in timing.misfit
    assert find_target("vela").target.exported(ON_CPU) == {}


def test_a_crash_of_the_compiler_fails_the_candidate(tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(INT8[:1000])  # Vela 5.2.0 dies by a signal on it
    with pytest.raises(BuildFailed, match=r"Vela (crashed with SIG|ended with code)"):
        find_target("vela").target.time(path, path)


def test_int4_weights_that_the_compiler_crashes_on_are_said_to_be_the_reason(tmp_path: Path) -> None:
    model = read_model(INT8)
    (dense,) = (op for op in operators_of(model) if op.name == "FULLY_CONNECTED")
    tensor = model.subgraphs[0].tensors[dense.weight_index]
    buffer = model.buffers[tensor.buffer]
    tensor.type, buffer.data = schema_py_generated.TensorType.INT4, buffer.data[: len(buffer.data) // 2]
    path = tmp_path / "int4.tflite"
    path.write_bytes(pack_model(model))
    timing = find_target("vela").target.time(path, path)
    assert timing.latency_us is None and "it compiles no int4 weights (Vela crashed" in timing.misfit


def test_a_compiler_that_hangs_is_stopped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(compiler, "python_command", lambda *arguments: hanging)
    with pytest.raises(BuildFailed, match=r"did not end within 0.3 s on int8.tflite"):
        find_target("vela?timeout_seconds=0.3").target.time(file, file)


def test_a_missing_compiler_and_wrong_settings_are_the_environments_fault(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = find_target("vela?system=Nope").target.check()
    assert finding.status == "fails" and "System_Config.Nope not found" in finding.text
    with pytest.raises(Lost, match="cannot read"):
        find_target("vela").target.time(file.with_name("missing.tflite"), file)
    compiler.version.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    try:
        with pytest.raises(HostError, match=r"pip install 'litetuner\[vela\]'"):
            find_target("vela").target.time(file, file)
        (finding,) = find_target("vela").target.check()
        assert finding.status == "fails"
    finally:
        compiler.version.cache_clear()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vela:ethos-u55-255", r"did you mean 'ethos-u55-256'\?"),
        ("vela?memory=a%20b", "memory must be a name"),
        ("vela?config=vela.ini", "must be an absolute path"),
        ("vela?optimise=fast", "must be Performance or Size"),
        ("vela?clock=5", "no option 'clock'"),
    ],
)
def test_wrong_texts_are_rejected_before_anything_is_started(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_target(text)


def test_a_result_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="wrote a result that cannot be read"):
        compiler.read_output(tmp_path, Ended(0, "done", ""))


def test_limits_hold_for_memory_time_and_descendants(tmp_path: Path) -> None:
    def run(code: str, **more: Any) -> Ended:
        how = {"seconds": 20.0, "memory_bytes": 1 << 28} | more
        return run_limited([sys.executable, "-c", code], **how)

    assert run("print(input())", given="hello").output == "hello\n"
    ended = run("x = bytearray(1 << 30)")
    assert ended.code == 1 and "MemoryError" in ended.end
    assert run("import os; os.abort()").how == "crashed with SIGABRT"
    mark = tmp_path / "alive"
    child = f"import time; time.sleep(1.5); open({str(mark)!r}, 'w')"
    ended = run(
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(9)", seconds=0.5
    )
    assert ended.code is None
    subprocess.run(["sleep", "2"], check=True)
    assert not mark.exists(), "what it started ended with it"
    missing = run_limited([str(tmp_path / "none")], seconds=5, memory_bytes=1 << 28)
    assert missing.code == 127 and "cannot be started" in missing.end
