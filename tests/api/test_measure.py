"""``litetuner measure``: what it prints, where it measures, and what it refuses."""

from __future__ import annotations

import json

import pytest

from litetuner.cli import run
from litetuner.objectives.targets import tiny_model
from tests.objectives.micro_files import INT8, ON_CPU


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("files"))


def test_a_person_reads_latency_memory_delegates_and_energy(file, capsys):
    assert run(["measure", str(file), "--baseline", str(file), "--target", "host?max_seconds=4"]) == 0
    out = capsys.readouterr().out
    for part in ("95 % interval", "p50", "load", "times as fast as", "memory: arena", "peak of the process"):
        assert part in out
    assert "on xnnpack in 1 partition" in out and "256 MACs" in out
    assert "energy: " in out and "estimate" in out


def test_all_of_it_as_json(file, capsys):
    assert run(["measure", str(file), "--no-xnnpack", "--target", "host?max_seconds=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["environment"]["delegate"] == "none" and found["delegates"]["delegated"] == 0
    assert found["costs"]["macs"]["value"] == 256 and found["peak_rss_bytes"] >= 0
    assert found["latency_us"]["value"] > 0 and found["ratio"] is None


def test_a_target_without_a_runner_says_what_it_has(file, capsys):
    assert run(["measure", str(file), "--target", "fake"]) == 0
    out = capsys.readouterr().out
    assert "µs" in out and "the target does not measure it" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--accelerator", "tpu"], "cpu, gpu, npu"),
        (["--delegate", "missing & gone.so"], "missing & gone.so"),
        (["--target", "hots"], "host"),
        (["--target", "host?xnnpack=off", "--no-xnnpack"], "given twice"),
    ],
)
def test_what_cannot_be_measured_is_refused(file, capsys, arguments, words):
    assert run(["measure", str(file), *arguments]) != 0
    assert words in capsys.readouterr().err


def test_estimates_say_whose_they_are_and_a_file_on_the_cpu_has_no_latency(tmp_path, capsys):
    pytest.importorskip("ethosu.vela")
    for name, content, said in (
        ("npu", INT8, ("µs  (an estimate of Vela", "flash: ", "sram: ")),
        ("cpu", ON_CPU, ("no latency: Vela leaves", "1 Cumsum")),
    ):
        (tmp_path / name).write_bytes(content)
        assert run(["measure", str(tmp_path / name), "--target", "vela:ethos-u55-64"]) == 0
        out = capsys.readouterr().out
        assert all(part in out for part in said), out
