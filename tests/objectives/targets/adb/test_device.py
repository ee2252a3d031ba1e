"""What the adb target does with a device beside timing: its modes, heat, storage, doctor, and a search."""

from __future__ import annotations

import json
import os

import pytest

from litetuner import diagnosis
from litetuner.cli import run as cli
from litetuner.objectives.targets.adb.client import AdbClient
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.target import Target
from litetuner.search.runtime.executors import fake as fake_executor
from litetuner.spaces.errors import HostError
from tests.objectives.targets.adb.fake_adb_device import ADB, REASON
from tests.objectives.targets.adb.timed import digest, target
from tests.search.fakes import fake_search

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("host"), pytest.mark.skipif(ADB is None, reason=REASON)]


def test_fixed_performance(device, file):
    assert (
        target(device, fixed_performance=False)._once(file, None, 1)["environment"]["fixed_performance"]
        == "off, as asked"
    )
    assert device.fixed == []
    (device.folder / "no-fixed").touch()
    mode = target(device)._once(file, None, 1)["environment"]["fixed_performance"]
    assert mode == "not there: Failed to set FIXED_PERFORMANCE mode" and device.fixed == []
    (device.folder / "no-fixed").unlink()
    client = AdbClient(device.serial).find()
    with pytest.raises(KeyboardInterrupt), client.fixed_performance() as mode:
        assert mode == "on"
        raise KeyboardInterrupt
    assert device.fixed == ["true", "false"]
    with pytest.raises(HostError, match=r"may still be on.*set-fixed-performance-mode-enabled false"):  # noqa: SIM117
        with client.fixed_performance():
            (device.folder / "no-fixed").touch()


def test_heat_is_said(device, file):
    (device.folder / "heat").write_text("2")
    document = target(device)._once(file, None, 1)
    assert not document["stable"] and any("thermal status 2" in reason for reason in document["instability"])


def test_rounding_of_short_times_is_in_the_interval(device, file):
    device.behave(us=10)
    timing = target(device, max_seconds=2.0).time(file, file)
    low, high = timing.latency_us.interval
    assert high - low >= 1 and "rounding" in " ".join(timing.latency_us.extra["instability"])
    low, high = timing.latency_us.extra["ratio"]["interval"]
    assert low < 0.97 and high > 1.03


def test_old_models_make_room(device, file):
    device.files.mkdir()
    for age in range(45):
        path = device.files / f"{age:064d}.tflite"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    target(device)._once(file, None, 1)
    left = {path.name for path in device.files.glob("*.tflite")}
    assert len(left) == 40 and f"{digest(file)}.tflite" in left and f"{44:064d}.tflite" not in left


def test_doctor(device, monkeypatch, capfd):
    monkeypatch.setattr(diagnosis, "IMPORTS", {"optuna": "import optuna"})
    options = f"benchmark={device.tool()}&max_seconds=0.01&block_seconds=0.01"
    assert cli(["doctor", "--target", f"phone=adb:{device.serial}?{options}", "--json"]) == 0
    connection, timing, *others = json.loads(capfd.readouterr().out)["targets"]["phone"]
    assert connection["status"] == "works" and "Standin Model 7 = new, Chips C1000, Android 14" in connection["text"]
    assert timing["status"] == "works" and "tiny model takes" in timing["text"]
    assert all(found["status"] == "note" for found in others)
    (device.folder / "no-fixed").touch()
    assert [found.about for found in target(device).check()][:3] == ["connection", "timing", "clock"]
    device.behave(code=126, says="not executable: 64-bit ELF file")
    assert target(device).check()[1].status == "fails"
    assert cli(["doctor", "--target", f"adb:127.0.0.1:1?{options}"]) == 3
    assert "Is it plugged in" in capfd.readouterr().out


def test_without_adb(device, file, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="apt install adb"):
        target(device).time(file, file)
    (found,) = target(device).check()
    assert (found.about, found.status) == ("connection", "fails") and "apt install adb" in found.text


def test_a_search_with_a_phone_beside(device, tmp_path, monkeypatch):
    monkeypatch.setattr(
        fake_executor, "FakeTarget", Target
    )  # builds pretended files, and times them where it is told to
    quick = "max_seconds=0.01&block_seconds=0.01&warmup_seconds=0.01"
    text = f"phone=adb:{device.serial}?benchmark={device.tool()}&{quick}"
    device.drop("--graph=", times=1)  # it is tried again
    outcome = fake_search(tmp_path / "run", trials=4, target=["fake", text])
    done = [trial for trial in outcome.record.trials if "latency_us:phone" in trial.measurements]
    assert len(done) >= 2 and device.drops == 0
    assert all(trial.measurements["latency_us:phone"].environment["cpu"] == "Chips C1000" for trial in done)
    assert find_target(text).name == "phone"
