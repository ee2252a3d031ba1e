"""The description of an Android device, and our folder with verified files on it."""

import re
from collections.abc import Iterable
from typing import Any

from litetuner.objectives.targets.adb.client import AdbClient
from litetuner.objectives.targets.connection import Dropped
from litetuner.spaces.errors import HostError

FOLDER = "/data/local/tmp/litetuner"
KEPT = 40  # maximum number of models in the folder; the least recently used ones are removed
NAME = re.compile(r"[0-9a-f]{64}\.tflite|benchmark_model-[0-9a-f]{64}")
LINE = re.compile(r"([0-9a-f]{64})\s+\*?(\S+)")
PROPERTIES = (
    "ro.product.manufacturer ro.product.model ro.build.version.release ro.build.version.sdk ro.soc.manufacturer "
    "ro.soc.model ro.board.platform ro.hardware ro.product.cpu.abilist ro.product.cpu.abi"
)
LOOK = (
    f"for p in {PROPERTIES}; do echo $p=$(getprop $p); done; "
    "echo governor=$(cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor 2>/dev/null | sort -u); "
    "echo thermal=$(dumpsys thermalservice 2>/dev/null | grep -m 1 'Thermal Status'); "
    "echo possible=$(cat /sys/devices/system/cpu/possible 2>/dev/null); "
    "echo load=$(cat /proc/loadavg 2>/dev/null); echo kernel=$(uname -r)"
)


def describe(client: AdbClient) -> dict[str, Any]:
    """Device, Android, processor, ABIs, governors, thermal status (0 is cool) and load; ``None`` for unknown values."""
    _, text = client.shell(LOOK)
    values = {key: value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    values = {key: value for key, value in values.items() if value}
    heat = re.search(r"Thermal Status: *([0-9]+)", values.get("thermal", ""))
    chips = (values.get("ro.soc.manufacturer"), values.get("ro.soc.model") or values.get("ro.board.platform"))
    device = (values.get("ro.product.manufacturer"), values.get("ro.product.model"))
    load = values.get("load", "").split()[:3]
    return {
        "device": " ".join(part for part in device if part) or None,
        "cpu": " ".join(part for part in chips if part) or values.get("ro.hardware"),
        "android": values.get("ro.build.version.release"),
        "sdk": values.get("ro.build.version.sdk"),
        "abis": values.get("ro.product.cpu.abilist") or values.get("ro.product.cpu.abi"),
        "governor": values.get("governor"),
        "cpus_possible": values.get("possible"),
        "thermal_status": None if heat is None else int(heat[1]),
        "load_average": [float(part) for part in load] if len(load) == 3 else None,
        "os": "Android",
        "kernel": values.get("kernel"),
        "pinned_cores": None,
    }


def wrong_files(client: AdbClient, names: Iterable[str]) -> list[str]:
    """The files that are missing on the device, are links, or have content that does not match the hash in the name."""
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if not NAME.fullmatch(name):
            raise ValueError(f"not a name of ours: {name!r}")
    command = f"""mkdir -p {FOLDER} && cd {FOLDER} || exit 8
for f in {" ".join(wanted)}; do
if [ -f $f ] && [ ! -L $f ]; then touch $f; sha256sum $f || exit 9; fi
done"""
    code, text = client.shell(command, timeout_seconds=120)
    if code:
        raise HostError(
            f"adb: {client.serial}: files cannot be verified there: {' '.join(text.split())[-300:]} (code {code}). "
            f"sha256sum is needed, which Android has since 6, and {FOLDER} must be writable."
        )
    there = {name: digest for digest, name in LINE.findall(text)}
    return [name for name in wanted if there.get(name) != re.sub(r"\.tflite$|^benchmark_model-", "", name)]


def accept(client: AdbClient, incoming: str, name: str) -> None:
    """Move a copied file to its final name if it is complete, and remove the least recently used models.

    Raises ``Dropped`` if the file is incomplete, and ``HostError`` if the folder cannot be written.
    """
    digest = re.sub(r"\.tflite$|^benchmark_model-", "", name)
    command = f"""cd {FOLDER} || exit 7
[ "$(sha256sum {incoming} | cut -c 1-64)" = {digest} ] || {{ rm -f {incoming}; exit 9; }}
chmod 755 {incoming} && rm -rf {name} && mv {incoming} {name} || exit 8
ls -1t | grep 'tflite$' | tail -n +{KEPT + 1} | while read -r f; do rm -f $f; done
find . -name 'in-*' -mmin +60 -exec rm -f {{}} ';'"""
    code, text = client.shell(command, timeout_seconds=120)
    if code == 8:
        raise HostError(f"adb: {client.serial}: {FOLDER} cannot be written: {' '.join(text.split())[-300:]}")
    if code:
        raise Dropped(f"adb: {client.serial}: {name} did not arrive whole {' '.join(text.split())[-200:]}".strip())
