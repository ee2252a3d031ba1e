"""Energy, measured only with the powercap counters of Linux (RAPL). Part of the runner (``runner.FILES``).

A zone counts microjoules up to ``max_energy_range_uj`` and then starts again at 0. The zones of all packages are added,
and the memory (``dram``) if it has a zone. Other zones are not used: ``core`` and ``uncore`` are parts of a package,
and ``psys`` contains everything. The power of the idle machine is measured in alternation with the invokes, and
subtracted.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litetuner.objectives.runner.intervals import median, median_interval

POWERCAP = "/sys/class/powercap"
MOST_WATTS = 1000.0  # of one zone: after range / MOST_WATTS, its counter may have wrapped around more than once
ROUNDS, ROUND_SECONDS = 6, 0.3  # a 95 % interval needs at least six rounds


class NoCounter(Exception):
    """Energy cannot be measured here. The message says why, and what to do if something helps."""


@dataclasses.dataclass(frozen=True)
class Zone:
    """One counter: its folder, its name (``package-0``, ``dram``), and the microjoules at which it wraps around."""

    folder: Path
    name: str
    range_uj: int

    def read_uj(self) -> int:
        return int((self.folder / "energy_uj").read_text())


def find_zones(root: str | Path = POWERCAP) -> list[Zone]:
    """The counters for processor and memory. Raises ``NoCounter`` if there is none, or if one cannot be read."""
    folders = sorted(Path(root).glob("intel-rapl:*"))
    zones, refused = [], []
    for folder in folders:
        try:
            name = (folder / "name").read_text().strip()
            if not name.startswith("package") and name != "dram":
                continue
            zone = Zone(folder, name, int((folder / "max_energy_range_uj").read_text()))
            zone.read_uj()
            zones.append(zone)
        except (OSError, ValueError) as error:
            refused.append(f"{folder.name}: {getattr(error, 'strerror', None) or error}")
    if refused:
        raise NoCounter(
            f"the energy counters under {root} cannot be read ({'; '.join(refused)}). They are root's; "
            f"`sudo chmod o+r {root}/intel-rapl:*/energy_uj` lets others read them until the next start."
        )
    if not zones:
        raise NoCounter(
            f"there are no energy counters (powercap, RAPL) under {root}: virtual machines rarely have them"
        )
    return zones


def used_uj(zone: Zone, before: int, after: int, seconds: float) -> int:
    """Microjoules between two readings. Raises ``NoCounter`` if the counter may have wrapped around more than once."""
    if seconds * MOST_WATTS * 1e6 > zone.range_uj:
        raise NoCounter(
            f"{seconds:.0f} s between two readings of {zone.name}: its counter may have started again twice"
        )
    return after - before if after >= before else after + zone.range_uj - before


def read_span(
    zones: list[Zone], work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
) -> tuple[int, float]:
    """The energy of ``work()`` in microjoules, summed over all zones, and its seconds."""
    before, start = [zone.read_uj() for zone in zones], clock()
    work()
    after, seconds = [zone.read_uj() for zone in zones], clock() - start
    return sum(used_uj(zone, b, a, seconds) for zone, b, a in zip(zones, before, after, strict=True)), seconds


def measure_energy(
    invoke: Callable[[], Any],
    root: str | Path = POWERCAP,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Any] = time.sleep,
) -> dict[str, Any]:
    """The energy of one ``invoke`` in microjoules, without the energy of the idle machine.

    Returns ``{"value", "interval", "rounds", "idle_watts", "busy_watts", "invokes", "zones"}``, or ``{"absent":
    reason}`` if energy cannot be measured; it is never estimated instead. A round is a pause followed by invokes, each
    ``ROUND_SECONDS`` long. The value is the median over the rounds.
    """
    try:
        zones = find_zones(root)
        rounds = [_round(zones, invoke, clock, sleep) for _ in range(ROUNDS)]
    except NoCounter as error:
        return {"absent": str(error)}
    each = [value for value, *_ in rounds]
    found = median_interval(each)
    return {
        "value": median(each),
        "interval": None if found is None else list(found[0]),
        "rounds": each,
        "idle_watts": median([idle for _, idle, _, _ in rounds]),
        "busy_watts": median([busy for _, _, busy, _ in rounds]),
        "invokes": sum(count for *_, count in rounds),
        "zones": [zone.name for zone in zones],
    }


def _round(
    zones: list[Zone], invoke: Callable[[], Any], clock: Callable[[], float], sleep: Callable[[float], Any]
) -> tuple[float, float, float, int]:
    """Microjoules per invoke above idle, watts when idle and when busy, and the number of invokes."""
    count = 0

    def work() -> None:
        nonlocal count
        end = clock() + ROUND_SECONDS
        while clock() < end:
            invoke()
            count += 1

    idle_uj, idle_seconds = read_span(zones, lambda: sleep(ROUND_SECONDS), clock)
    busy_uj, busy_seconds = read_span(zones, work, clock)
    idle_power = idle_uj / idle_seconds  # microwatts
    return (busy_uj - idle_power * busy_seconds) / count, idle_power / 1e6, busy_uj / busy_seconds / 1e6, count
