"""The op resolver and the example of an export: they compile against headers with TensorFlow Lite Micro's names, and run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from litetuner.objectives.profiles.mcu import Mcu
from litetuner.reports.export.c_array import c_header, c_source
from litetuner.reports.export.micro_example import method, micro_example, op_resolver
from litetuner.spaces.tflite.schema import read_model
from tests.objectives.micro_files import INT8

STUBS = Path(__file__).parent / "micro_stubs"


def test_every_operator_of_the_profile_has_a_method() -> None:
    header = (STUBS / "tensorflow/lite/micro/micro_mutable_op_resolver.h").read_text()
    known = set(re.findall(r"OP\((\w+)\)", header)) - {"name"}
    assert {method(name) for name in (*Mcu.operators, "TFLM_DECODE", "ethos-u")} <= known


def test_the_resolver_has_exactly_the_operators_of_the_file() -> None:
    text = op_resolver("tiny_model", INT8, "a file\\")
    assert len(read_model(INT8).operatorCodes) == 4
    assert re.findall(r"resolver\.Add(\w+)\(", text) == ["Conv2D", "FullyConnected", "Reshape", "Softmax"]
    assert "MicroMutableOpResolver<4>" in text


@pytest.mark.parametrize("npu", ["", "ethos-u55-128"])
def test_the_example_compiles_and_runs(npu: str, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    files = {
        "tiny_model.h": c_header("tiny_model", "x"),
        "tiny_model.cc": c_source("tiny_model", INT8, "x"),
        "tiny_model_ops.h": op_resolver("tiny_model", INT8, "x"),
        "run_example.cc": micro_example("tiny_model", INT8, "x\n#error", (4096, "planned"), npu),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    sources = [str(tmp_path / name) for name in files if name.endswith(".cc")]
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-I", str(tmp_path), "-I", str(STUBS)]
    subprocess.run(["g++", *flags, *sources, "-o", str(tmp_path / "program")], check=True, timeout=60)
    told = subprocess.run([str(tmp_path / "program")], check=True, capture_output=True, text=True, timeout=10).stdout
    assert told.splitlines() == ["arena: 4 of 4096 bytes used", "0: 7", "1: 7", "2: 7", "3: 7"]
    assert ("ethosu_init" in files["run_example.cc"]) == bool(npu)
