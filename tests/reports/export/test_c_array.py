from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from litetuner.reports.export.c_array import c_header, c_name, c_source
from litetuner.reports.export.export import export
from litetuner.search.runs.record import RunRecord

MAIN = """#include <stdint.h>
#include <stdio.h>
#include "{name}.h"
int main(void) {{
  if ((uintptr_t){name} % 16) return 1;
  fwrite({name}, 1, {name}_len, stdout);
  return 0;
}}
"""
COMPILERS = [("g++", ("-std=c++11", "-x", "c++")), ("gcc", ("-std=c11", "-x", "c"))]


@pytest.mark.parametrize(("compiler", "flags"), COMPILERS, ids=[name for name, _ in COMPILERS])
def test_an_exported_array_compiles_and_holds_the_files_bytes(
    compiler: str, flags: tuple[str, ...], record: RunRecord, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    file = export(record, out=tmp_path, c_array=True)
    name = c_name(file.name)
    (tmp_path / "main.c").write_text(MAIN.format(name=name))
    sources = [str(tmp_path / f"{name}.cc"), str(tmp_path / "main.c")]
    built = [compiler, *flags, "-Wall", "-Wextra", "-Werror", *sources, "-o", str(tmp_path / "program")]
    subprocess.run(built, check=True, timeout=60)
    told = subprocess.run([str(tmp_path / "program")], check=True, capture_output=True, timeout=10).stdout
    assert told == file.read_bytes()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("resnet8-cluster16+int8[-2].tflite", "resnet8_cluster16_int8_2_model"),
        ("8bit.tflite", "m8bit_model"),
        ("a-" + "long-" * 18 + "1a2b3c.tflite", "a_long_long_long_long_long_long_long_long_long_lo_1a2b3c_model"),
        ("int.tflite", "int_model"),
        ("\u05d0\u05d1.tflite", "model_model"),
        ("\x00/../x y.tflite", "x_y_model"),
    ],
)
def test_names_are_identifiers(file: str, name: str) -> None:
    assert c_name(file) == name and name.isidentifier()


def test_a_comment_stays_a_comment() -> None:
    for text in (c_header("a", "x\n#error out\\"), c_source("a", b"\x00", "x\r\n#error out??/")):
        first = text.splitlines()[0]
        assert first == "// x #error out/"
