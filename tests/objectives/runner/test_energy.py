"""Energy from counters: a folder like sysfs, whose counters a pretended processor drives. And the estimate's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.objectives.runner import energy


class Machine:
    """Zones in a folder; time and energy pass only when ``sleep`` or ``invoke`` is called."""

    def __init__(
        self, root: Path, idle_watts: float = 5.0, joules: float = 0.02, range_uj: int = 10**12, start: int = 0
    ) -> None:
        self.root, self.now, self.idle, self.joules, self.range_uj = root, 0.0, idle_watts, joules, range_uj
        self.total = float(start)
        self.zones = {
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:0:1": "dram",
            "intel-rapl:1": "psys",
        }
        for folder, name in self.zones.items():
            (root / folder).mkdir(parents=True)
            (root / folder / "name").write_text(f"{name}\n")
            (root / folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self.write()

    def write(self) -> None:
        shares = {"package-0": 0.75, "core": 0.5, "dram": 0.25, "psys": 2.0}
        for folder, name in self.zones.items():
            (self.root / folder / "energy_uj").write_text(f"{int(self.total * shares[name]) % self.range_uj}\n")

    def sleep(self, seconds: float, joules: float = 0.0) -> None:
        self.now += seconds
        self.total += (self.idle * seconds + joules) * 1e6
        self.write()

    def invoke(self) -> None:
        self.sleep(0.003, self.joules)

    def measure(self) -> dict:
        return energy.measure_energy(self.invoke, self.root, lambda: self.now, self.sleep)


def test_energy_of_an_invoke_is_what_comes_on_top_of_idle(tmp_path):
    found = Machine(tmp_path).measure()
    assert found["value"] == pytest.approx(20_000, rel=1e-4)  # .02 J; counters hold whole microjoules
    assert found["interval"][0] <= found["value"] <= found["interval"][1]
    assert found["idle_watts"] == pytest.approx(5, rel=1e-3)
    assert found["busy_watts"] == pytest.approx(5 + 0.02 / 0.003, rel=1e-3)
    assert sorted(found["zones"]) == ["dram", "package-0"]  # core is a part of the package, psys contains all


def test_counters_that_start_again_are_read_right(tmp_path):
    range_uj = 400_000_000
    found = Machine(tmp_path, range_uj=range_uj, start=int(range_uj / 0.75) - 8_000_000).measure()
    assert found["value"] == pytest.approx(20_000, rel=1e-4)


def test_the_difference_of_two_readings():
    zone = energy.Zone(Path("zone"), "package-0", 1_000_000_000)
    assert energy.used_uj(zone, 100, 250, 0.1) == 150
    assert energy.used_uj(zone, 999_999_900, 50, 0.1) == 150
    with pytest.raises(energy.NoCounter, match="started again twice"):
        energy.used_uj(zone, 0, 1, 2.0)


def test_a_machine_without_counters_gives_none_and_says_so(tmp_path):
    found = energy.measure_energy(lambda: None, tmp_path / "none")
    assert set(found) == {"absent"} and "no energy counters" in found["absent"]


def test_counters_that_may_not_be_read_are_said_to_be_roots(tmp_path, monkeypatch):
    machine = Machine(tmp_path)

    def refuse(zone: energy.Zone) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(energy.Zone, "read_uj", refuse)
    found = machine.measure()
    assert set(found) == {"absent"} and "Permission denied" in found["absent"] and "chmod" in found["absent"]


def test_a_damaged_counter_is_no_energy(tmp_path):
    machine = Machine(tmp_path)
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("many\n")
    assert "cannot be read" in machine.measure()["absent"]
