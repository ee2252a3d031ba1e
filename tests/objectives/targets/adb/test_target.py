"""The adb target with the real ``adb`` against a stand-in device: push, verify, measure, and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from litetuner import diagnosis
from litetuner.cli import run as cli
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.adb import target as adb_module
from litetuner.objectives.targets.adb.client import AdbClient
from litetuner.objectives.targets.adb.target import Adb
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.connection import PAUSES_SECONDS
from litetuner.objectives.targets.target import Target
from litetuner.search.runtime.executors import fake as fake_executor
from litetuner.spaces.errors import BuildFailed, HostError, Lost, TargetLost
from tests.objectives.targets.adb.fake_adb_device import ADB, REASON, FakeDevice, adb_server
from tests.search.fakes import fake_search

pytestmark = [pytest.mark.service, pytest.mark.skipif(ADB is None, reason=REASON)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with adb_server(tmp_path_factory.mktemp("adb")) as variables:
        yield variables


@pytest.fixture(autouse=True)
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


def target(device: FakeDevice, **options: object) -> Adb:
    quick = {"max_seconds": 0.01, "block_seconds": 0.01, "warmup_seconds": 0.01}
    options.setdefault("benchmark", device.folder / "benchmark_model")
    return Adb(**({"serial": device.serial} | quick | options))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pushes(device: FakeDevice) -> int:
    return sum(service == "sync:" for service in device.opened)


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
