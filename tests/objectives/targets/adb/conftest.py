"""A stand-in device and the real ``adb`` for the tests of this folder."""

from __future__ import annotations

import subprocess

import pytest

from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.adb import target as adb_module
from tests.objectives.targets.adb.fake_adb_device import ADB, FakeDevice, adb_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with adb_server(tmp_path_factory.mktemp("adb")) as variables:
        yield variables


@pytest.fixture
def host(server, monkeypatch):
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setattr(adb_module, "PAUSES_SECONDS", (0.0, 0.05, 0.2))
    monkeypatch.setattr(adb_module, "BLOCKS", 2)  # a range over six is what the numbers' own tests look at


@pytest.fixture
def device(tmp_path):
    found = FakeDevice(tmp_path / "device")
    found.tool()
    yield found
    found.stop()
    subprocess.run([ADB, "disconnect", found.serial], capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("model"))
