"""Hostile texts for an adb target: none is executed, here or on the device."""

from __future__ import annotations

import pytest

from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.adb import target as adb_module
from litetuner.objectives.targets.adb.target import Adb
from litetuner.spaces.errors import ConfigError, HostError
from tests.objectives.targets.adb.fake_adb_device import ADB, REASON, FakeDevice, adb_server
from tests.objectives.targets.hostile import SNIPPETS as COMMON
from tests.objectives.targets.hostile import accepted, problem

pytestmark = pytest.mark.service

SNIPPETS = (*COMMON, "-s {C}", "-H touch", "../../{C} --graph=/x")
# Each snippet goes into every place of a target's text; what a place cannot take is rejected.
PLACES = {
    "serial": "adb:{S}?benchmark=/b",
    "end of a serial": "adb:x{S}?benchmark=/b",
    "name": "{S}=adb:x?benchmark=/b",
    "kind": "{S}:x?benchmark=/b",
    "delegate": "adb:x?benchmark=/b&delegate={S}",
    "mask": "adb:x?benchmark=/b&cpus={S}",
    "end of a mask": "adb:x?benchmark=/b&cpus=f0{S}",
    "threshold": "adb:x?benchmark=/b&tolerance={S}",
    "seconds": "adb:x?benchmark=/b&block_seconds=1{S}",
    "switch": "adb:x?benchmark=/b&fixed_performance={S}",
    "option": "adb:x?benchmark=/b&{S}=1",
    "relative benchmark": "adb:x?benchmark={S}",
}
ODD = [snippet for snippet in SNIPPETS if snippet.isprintable() and "/" not in snippet.replace("{C}", "")]


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def test_hostile_texts_are_rejected_before_anything_is_started(canary, monkeypatch):
    wrong = accepted(PLACES, SNIPPETS, canary, monkeypatch)
    assert not wrong, "\n".join(wrong)


def test_a_target_that_exists_is_valid(tmp_path):
    fields = (
        {"serial": "-s"},
        {"serial": ""},
        {"serial": "a b"},
        {"serial": "a\n"},
        {"serial": "é"},
        {"cpus": "F0;"},
        {"cpus": "0x3"},
        {"delegate": "cpu"},
        {"tolerance": float("nan")},
        {"max_seconds": 0},
        {"block_seconds": float("inf")},
    )
    made = {"benchmark": tmp_path / "b"}
    said = [(given, problem(lambda given=given: Adb(**(made | given)), "target adb")) for given in fields]
    wrong = [f"{given}: {text}" for given, text in said if text]
    assert not wrong, "\n".join(wrong)
    with pytest.raises(ConfigError, match="name the benchmark_model"):
        Adb()


@pytest.mark.skipif(ADB is None, reason=REASON)
def test_odd_file_names_are_words_and_a_devices_texts_are_data(canary, monkeypatch, tmp_path):
    """A binary and models of hostile names are timed; a device that describes itself by commands is only written down."""
    monkeypatch.setattr(adb_module, "BLOCKS", 1)
    with adb_server(tmp_path) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        device = FakeDevice(tmp_path / "device")
        (device.folder / "bin" / "getprop").write_text(f"#!/bin/sh\necho '$(touch {canary});`touch {canary}`'\n")
        for snippet in ODD:
            folder = tmp_path / snippet.replace("{C}", "canary").format()
            folder.mkdir()
            tool = folder / "benchmark_model"
            tool.write_bytes(device.tool().read_bytes())
            file = tiny_model.write(folder)
            target = Adb(serial=device.serial, benchmark=tool, max_seconds=0.01, fixed_performance=False)
            document = target._once(file, None, 1)
            assert "touch" in document["environment"]["device"]
        with pytest.raises(HostError, match="no benchmark_model"):
            Adb(serial=device.serial, benchmark=tmp_path / "$(x)")._once(file, None, 1)
        assert len(device.timed) == len(ODD) >= 8
        device.stop()
