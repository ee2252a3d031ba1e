"""A profile decides io, size and steps, refuses what its runtime cannot run before training, and bounds memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.profiles import PROFILES
from litetuner.objectives.profiles.mcu import Mcu
from litetuner.objectives.profiles.profile import Profile
from litetuner.search.config.config import make_config
from litetuner.search.criteria import Criteria, judged
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.steps import STEPS
from tests.search.fakes import fake_config, fake_search

FLOAT = {"inputs": ("float32",), "outputs": ("float32",)}
INT8 = {"inputs": ("int8",), "outputs": ("int8",)}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_contract(profile: type[Profile]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    known = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
    assert profile.operators <= known and "CONV_2D" in profile.operators
    config = make_config({"model": "m", "data": "d", "profile": profile.name})
    assert all(getattr(config, key) == value for key, value in profile.settings.items())
    assert set(config.steps) <= set(STEPS)
    assert len(config.advice) == 1 + len(profile.budgets) and all(
        key in " ".join(config.advice) for key in profile.budgets
    )
    assert profile.source and profile.runtime


def test_what_a_profile_decides_is_not_asked_of_the_user() -> None:
    with pytest.raises(ConfigError, match="io: the profile mcu needs int8, not float32"):
        make_config({"model": "m", "data": "d", "profile": "mcu", "io": "float32"})
    with pytest.raises(ConfigError, match=r"there is no 'mcus' \(did you mean 'mcu'\?\)"):
        make_config({"model": "m", "data": "d", "profile": "mcus"})


def test_budgets_quiet_the_advice_and_memory_means_the_arena() -> None:
    config = make_config({"model": "m", "data": "d", "profile": "mcu", "max-flash": "1MB", "max-memory": "256kB"})
    (said,) = config.advice
    assert "latency is measured on host" in said
    assert [budget.measurement for budget in config.budgets] == ["flash_bytes", "arena_bytes"]
    plain = make_config({"model": "m", "data": "d", "max-memory": "256KiB"})
    assert [(b.measurement, b.limit) for b in plain.budgets] == [("memory_bytes", 262144.0)]


def test_misfits_are_named() -> None:
    assert Mcu.misfits({"CONV_2D": 3, "SOFTMAX": 1}, INT8) == []
    runtime, inputs, outputs = Mcu.misfits({"CONV_2D": 3, "ERF": 1, "CONV_3D": 1}, FLOAT)
    assert runtime == "TensorFlow Lite for Microcontrollers has no kernel for CONV_3D, ERF"
    assert (inputs, outputs) == ("its inputs are float32, not int8", "its outputs are float32, not int8")


def test_a_search_for_a_microcontroller_ships_int8_only(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "run", profile="mcu", max_compressed_size=None, max_size="1MB", trials=12).record
    assert record.config.size_measurement == "flash_bytes"
    assert all(trial.value("flash_bytes") == trial.value("file_bytes") for trial in record.front), (
        "nothing is compressed"
    )
    assert record.baseline is not None and record.baseline.state is State.INFEASIBLE
    assert "its inputs are float32" in (record.baseline.reason or "")
    assert record.front and all(trial.io_types["inputs"] == ("int8",) for trial in record.front)


def test_operators_that_a_profile_lacks_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mcu, "operators", Mcu.operators - {"CONV_2D"})
    record = fake_search(tmp_path / "run", profile="mcu", max_compressed_size=None, trials=24).record
    others = [trial for trial in record.trials if not trial.is_baseline]
    assert others and all(trial.state is State.INVALID and trial.gate == "profile mcu" for trial in others)
    assert all("no kernel for CONV_2D" in (trial.reason or "") for trial in others)
    assert not any("train" in trial.seconds for trial in others)
    assert any(trial.candidate.prefix.steps for trial in others)


def test_without_the_profile_what_it_refused_is_asked_again() -> None:
    refused = Trial(3, Candidate(()), State.INVALID, "sampler", 0, gate="profile mcu", reason="no kernel")
    assert judged(refused, Criteria(profile=Mcu)) == refused
    assert judged(refused, Criteria()).state is State.LOST
    lacking = Trial(4, Candidate(()), State.INVALID, "sampler", 0, gate="target pi", reason="no kernel")
    assert judged(lacking, Criteria(targets=("pi", "host"))) == lacking
    assert judged(lacking, Criteria(targets=("host",))).state is State.LOST
    ruled = Trial(5, Candidate(()), State.INVALID, "sampler", 0, reason="qat -> sparse")
    assert judged(ruled, Criteria()) == ruled


def test_what_was_never_measured_is_asked_again() -> None:
    known = {"metric": Measurement(0.9, "", {"test": True})}
    scored = Trial(3, Candidate(()), State.COMPLETE, "sampler", 0, known)
    found = judged(scored, Criteria(needed=("metric", "memory_bytes")))
    assert found.state is State.LOST and found.reason == "memory_bytes was not measured"


def test_a_memory_budget_stops_candidates_at_the_probe(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "run", max_memory="110kB", max_compressed_size=None, trials=45).record
    assert all((trial.value("memory_bytes") or 0) <= 110_000 for trial in record.front)
    stopped = [trial for trial in record.trials if trial.gate == "probe"]
    assert any("max-memory 110kB" in (trial.reason or "") for trial in stopped)
    assert all("train" not in trial.seconds for trial in stopped)
    assert record.baseline is not None and record.baseline.constraints["max-memory"] > 0


def test_memory_can_be_an_objective(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "run", objective="memory_bytes", trials=8).record
    assert "memory_bytes" in [item.measurement for item in record.objectives]
    assert fake_config(tmp_path / "x", objective="arena_bytes").objective == ("arena_bytes",)
