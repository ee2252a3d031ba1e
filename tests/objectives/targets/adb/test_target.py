"""The adb target with the real ``adb`` against a stand-in device: push, verify, measure, and what goes wrong on the way."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from litetuner.objectives.targets.adb.client import AdbClient
from litetuner.objectives.targets.connection import PAUSES_SECONDS
from litetuner.spaces.errors import BuildFailed, HostError, Lost, TargetLost
from tests.objectives.targets.adb.fake_adb_device import ADB, REASON, FakeDevice
from tests.objectives.targets.adb.timed import digest, pushes, target

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("host"), pytest.mark.skipif(ADB is None, reason=REASON)]


def test_push_verify_measure(device, file, tmp_path):
    baseline = tmp_path / "slow er $(x).tflite"  # a name of a user's stands in no command
    baseline.write_bytes(file.read_bytes() + bytes(100_000))
    timing = target(device, max_seconds=20.0, cpus="1").time(file, baseline, threads=2)
    assert timing.latency_us.value == pytest.approx(1000 + file.stat().st_size / 100, rel=0.01)
    assert timing.baseline_us.value - timing.latency_us.value == pytest.approx(1000, rel=0.01)
    assert timing.ratio == pytest.approx(timing.baseline_us.value / timing.latency_us.value, rel=0.01)
    extra, environment = timing.latency_us.extra, timing.latency_us.environment
    low, high = extra["ratio"]["interval"]
    assert low < timing.ratio < high and high - low < 0.02
    assert extra["sha256"] == digest(file) and extra["peak_rss_bytes"] == 2.25 * 2**20 and extra["stable"]
    assert extra["delegates"]["requested"] == ["xnnpack"] and extra["delegates"]["partitions"] == 1
    assert environment["device"] == "Standin Model 7 = new" and environment["cpu"] == "Chips C1000"
    assert environment["android"] == "14" and environment["abis"] == "arm64-v8a,armeabi-v7a"
    assert environment["fixed_performance"] == "on" and environment["thermal_status"] == 0
    assert environment["runtime_version"] == digest(device.folder / "benchmark_model")[:12]
    flags = device.timed[0]
    assert flags["num_threads"] == "2" and flags["use_xnnpack"] == "true" and flags["num_runs"] == "15"
    graphs = [Path(flags["graph"]).name for flags in device.timed]
    assert graphs[:4] == [f"{digest(file)}.tflite", f"{digest(baseline)}.tflite"] * 2  # in turns
    assert device.fixed == ["true", "false"]
    names = {f"{digest(file)}.tflite", f"{digest(baseline)}.tflite"}
    names.add(f"benchmark_model-{digest(device.folder / 'benchmark_model')}")
    assert {path.name for path in device.files.iterdir()} == names and pushes(device) == 3
    target(device).time(file, baseline)
    assert pushes(device) == 3  # all of it is there and verified


@pytest.mark.parametrize("kind", ["content", "link", "folder"])
def test_a_stale_file_of_the_right_name_is_replaced(device, file, kind, tmp_path):
    place = device.files / f"{digest(file)}.tflite"
    device.files.mkdir()
    if kind == "content":
        place.write_bytes(file.read_bytes()[:-1] + b"x")
    elif kind == "link":
        place.symlink_to(file)
    else:
        place.mkdir()
    target(device)._once(file, None, 1)
    assert place.is_file() and not place.is_symlink() and digest(place) == digest(file)


def test_a_corrupted_push_is_noticed_and_repeated(device, file):
    device.damage = 1
    target(device)._retry(lambda: target(device)._once(file, None, 1))
    assert pushes(device) == 3 and not list(device.files.glob("in-*"))
    assert digest(device.files / f"{digest(file)}.tflite") == digest(file)


def test_what_never_arrives_whole_is_never_timed(device, file):
    device.damage = 100
    with pytest.raises(TargetLost, match="did not arrive whole"):
        target(device).time(file, file)
    assert device.timed == [] and not list(device.files.iterdir())


def test_a_file_that_changes_while_it_is_timed_is_lost(device, file):
    tool = device.tool("open(flags['graph'], 'ab').write(b'x')\n")
    with pytest.raises(Lost, match="changed while it was timed"):
        target(device, benchmark=tool)._once(file, None, 1)


@pytest.mark.parametrize("at", ["--graph=", "set-fixed-performance", "sync:", "getprop", "sha256sum"])
def test_a_line_that_breaks_is_tried_again(device, file, at):
    device.behave(sleep=0.15)  # so that it breaks in the midst of a run
    device.drop(at, times=2)
    document = target(device)._retry(lambda: target(device)._once(file, None, 1))
    assert device.drops == 0 and document["latency_us"]["value"] > 0
    deadline = time.monotonic() + 5
    while device.fixed.count("true") != device.fixed.count("false") and time.monotonic() < deadline:
        time.sleep(0.05)  # the shell that held it sees the broken line at its own time
    assert device.fixed[-1] == "false" and device.fixed.count("true") == device.fixed.count("false")


def test_a_line_that_breaks_at_the_end_is_tried_again(device, file):
    device.drop(r"^\n$", times=1)  # as fixed-performance mode is let go
    document = target(device)._retry(lambda: target(device)._once(file, None, 1))
    assert device.drops == 0 and document["environment"]["fixed_performance"] == "on"
    assert device.fixed.count("true") == 2 and device.fixed[-1] == "false"


def test_a_device_that_stays_away_is_lost(device, file):
    found = target(device)
    device.drop(".", times=10_000)
    start = time.monotonic()
    with pytest.raises(TargetLost, match=r"did not come back in 4 tries.*adb -s 127.0.0.1:\d+ devices -l") as lost:
        found.time(file, file)
    assert lost.value.target == device.serial and time.monotonic() - start < 20
    assert PAUSES_SECONDS == (2.0, 8.0, 20.0)
    device.stop()
    with pytest.raises(TargetLost, match=r"refused|not there|failed to connect"):
        found.time(file, file)


def test_no_device_and_several(device, file, tmp_path, monkeypatch):
    subprocess.run([ADB, "disconnect"], capture_output=True, timeout=30)
    nameless = target(device, serial=None)
    with pytest.raises(TargetLost, match="no device is there"):
        nameless.time(file, file)
    assert "Is it plugged in" in nameless.check()[0].remedy
    with pytest.raises(TargetLost, match="'emulator-5554' is not there"):
        target(device, serial="emulator-5554").time(file, file)
    AdbClient(device.serial).find()
    assert nameless._once(file, None, 1)["environment"]["host"] == device.serial  # the only one
    other = FakeDevice(tmp_path / "other")
    AdbClient(other.serial).find()
    with pytest.raises(HostError, match="several devices") as found:
        nameless.time(file, file)
    assert device.serial in str(found.value) and other.serial in str(found.value)
    monkeypatch.setenv("ANDROID_SERIAL", other.serial)  # as adb itself has it
    assert nameless._once(file, None, 1)["environment"]["host"] == other.serial
    other.stop()
    subprocess.run([ADB, "disconnect", other.serial], capture_output=True, timeout=30)


def test_an_unauthorized_device_is_not_waited_for(tmp_path, file):
    device = FakeDevice(tmp_path / "device", authorized=False)
    with pytest.raises(HostError, match=r"unauthorized.*allow USB debugging"):
        target(device, benchmark=device.tool()).time(file, file)
    device.stop()
    subprocess.run([ADB, "disconnect", device.serial], capture_output=True, timeout=30)


@pytest.mark.parametrize(
    ("does", "options", "kind", "words"),
    [
        ({"says": "ERROR: Failed to apply GPU delegate.", "code": 1}, {"delegate": "gpu"}, BuildFailed, "to apply GPU"),
        ({"delegate": "INFO: quiet"}, {"delegate": "gpu"}, HostError, "does not say that the gpu delegate"),
        ({"taken": 0}, {"delegate": "nnapi"}, BuildFailed, "nnapi delegate took none"),
        ({"unknown": ["use_hexagon"]}, {"delegate": "hexagon"}, HostError, "does not know --use_hexagon=true"),
        ({"delegate": "GPU acceleration is unsupported on this platform."}, {"delegate": "gpu"}, HostError, "no such"),
        ({"code": 1, "says": "ERROR: Failed to allocate tensors!"}, {}, BuildFailed, "allocate tensors"),
        ({"code": 126, "says": "sh: not executable: 64-bit ELF file"}, {}, HostError, "64-bit ELF.*runs arm64-v8a"),
        ({"signal": 11}, {}, BuildFailed, "SIGSEGV"),
        ({"signal": 9}, {}, Lost, "killed"),
        ({"sleep": 3}, {"timeout_seconds": 1.0}, Lost, "more than 1 s"),
    ],
)
def test_what_the_tool_cannot_do(device, file, does, options, kind, words):
    device.behave(**does)
    with pytest.raises(kind, match=words) as found:
        target(device, **options).time(file, file)
    assert type(found.value) is kind
    assert device.fixed == ["true", "false"]  # restored, also after errors


def test_the_flags_of_delegates(device, file):
    for delegate, flag in (("gpu", "use_gpu"), ("nnapi", "use_nnapi"), ("hexagon", "use_hexagon")):
        document = target(device, delegate=delegate)._once(file, None, 1)
        assert device.timed[-1][flag] == "true" and "use_xnnpack" not in device.timed[-1]
        assert document["delegates"]["requested"] == [delegate] and document["delegates"]["delegated"] == 1
    assert target(device, delegate="none")._once(file, None, 1)["delegates"]["requested"] == []
    assert device.timed[-1]["use_xnnpack"] == "false"


def test_a_baseline_that_cannot_be_timed_is_no_candidates_fault(device, file, tmp_path):
    (tmp_path / "base.tflite").write_bytes(b"\0\0\0\0TFL3")
    tool = device.folder / "benchmark_model"
    crash = "if os.path.getsize(flags['graph']) < 9: sys.exit(139)\ncontent = open"
    tool.write_text(tool.read_text().replace("content = open", crash))
    with pytest.raises(HostError, match="baseline cannot be timed"):
        target(device).time(file, tmp_path / "base.tflite")


def test_a_full_disk_and_a_missing_tool(device, file, tmp_path):
    device.full = True
    with pytest.raises(HostError, match=r"No space left on device.*Make room"):
        target(device).time(file, file)
    with pytest.raises(HostError, match="no benchmark_model at"):
        target(device, benchmark=tmp_path / "none").time(file, file)


def test_without_sha256sum(device, file):
    (device.folder / "bin" / "sha256sum").write_text(
        "#!/bin/sh\necho 'sha256sum: inaccessible or not found'; exit 127\n"
    )
    (device.folder / "bin" / "sha256sum").chmod(0o755)
    device.files.mkdir()
    (device.files / f"{digest(file)}.tflite").write_bytes(b"x")
    with pytest.raises(HostError, match=r"inaccessible or not found.*Android has since 6"):
        target(device).time(file, file)
