"""Short timings on the stand-in device."""

from __future__ import annotations

import hashlib
from pathlib import Path

from litetuner.objectives.targets.adb.target import Adb
from tests.objectives.targets.adb.fake_adb_device import FakeDevice


def target(device: FakeDevice, **options: object) -> Adb:
    quick = {"max_seconds": 0.01, "block_seconds": 0.01, "warmup_seconds": 0.01}
    options.setdefault("benchmark", device.folder / "benchmark_model")
    return Adb(**({"serial": device.serial} | quick | options))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pushes(device: FakeDevice) -> int:
    return sum(service == "sync:" for service in device.opened)
