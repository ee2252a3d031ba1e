"""Where trainings run: decisions with made-up lists of GPUs, and what a worker does without one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.config.config import make_config
from litetuner.spaces.errors import ConfigError, HostError
from litetuner.spaces.jobs import device
from litetuner.spaces.jobs.device import Device, choose_device, find_gpus, on_cpu, prepare_gpus


def test_decisions() -> None:
    two = ("0", "1")
    cases = {
        ("auto", ()): Device(),
        ("auto", two): Device("gpu", two),
        ("cpu", two): Device(),
        ("gpu", two): Device("gpu", two),
        ("gpu:1", ("4", "7")): Device("gpu", ("7",)),
    }
    wrong = {case: choose_device(*case) for case, expected in cases.items() if choose_device(*case) != expected}
    assert not wrong
    for wish, gpus in (("gpu", ()), ("gpu:0", ()), ("gpu:2", two)):
        with pytest.raises(HostError, match=f"--device {wish}: TensorFlow sees"):
            choose_device(wish, gpus)


def test_each_worker_sees_one_gpu() -> None:
    assert [Device("gpu", ("4", "7")).visible(worker) for worker in range(4)] == ["4", "7", "4", "7"]
    assert Device().visible(3) == "-1"


def test_what_may_be_written() -> None:
    for text in ("auto", "cpu", "gpu", "gpu:3"):
        assert make_config({"model": "m", "data": "d", "device": text}).device == text
    for text in ("tpu", "gpu:", "gpu:x", "cpu:1"):
        with pytest.raises(ConfigError, match="device"):
            make_config({"model": "m", "data": "d", "device": text})


def test_gpus_are_those_that_tensorflow_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that asks TensorFlow is a stand-in: no GPU is needed here."""
    said = {"out": "some warning\nGPUS 2\n"}
    run: Any = lambda *_, **__: subprocess.CompletedProcess([], 0, said["out"], "")  # noqa: E731
    monkeypatch.setattr(device.subprocess, "run", run)
    monkeypatch.delenv(device.VISIBLE, raising=False)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    assert find_gpus() == (), "without a driver nothing is asked"
    monkeypatch.setattr(Path, "glob", lambda *_: iter((Path("/dev/nvidia0"),)))
    assert find_gpus() == ("0", "1")
    monkeypatch.setenv(device.VISIBLE, "5,6")
    assert find_gpus() == ("5", "6"), "as the user's own CUDA_VISIBLE_DEVICES names them"
    said["out"] = "Traceback"
    assert find_gpus() == ()


class FakeTensorFlow:
    """The few functions of TensorFlow that are used, with two GPUs."""

    def __init__(self) -> None:
        self.grown: list[str] = []
        self.devices: list[str] = []
        gpus = [type("Gpu", (), {"name": name}) for name in ("GPU:0", "GPU:1")]
        experimental = type("E", (), {})()
        experimental.set_memory_growth = lambda gpu, grow: self.grown.append(gpu.name)
        experimental.get_device_details = lambda gpu: {"device_name": f"made up {gpu.name}"}
        self.config = type("C", (), {"list_physical_devices": lambda _, kind: gpus, "experimental": experimental})()

    def device(self, name: str) -> Any:
        import contextlib

        self.devices.append(name)
        return contextlib.nullcontext()


def test_memory_grows_and_conversions_stay_on_the_cpu() -> None:
    tf = FakeTensorFlow()
    names = prepare_gpus(tf)
    assert names == ["made up GPU:0", "made up GPU:1"] and tf.grown == ["GPU:0", "GPU:1"]
    assert on_cpu(tf, names, lambda job: job + 1)(1) == 2 and tf.devices == ["/CPU:0"]
    plain = lambda job: job  # noqa: E731
    assert on_cpu(tf, [], plain) is plain
