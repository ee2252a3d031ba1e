"""The first configuration: every key with its help, budgets fitted to what was measured."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from litetuner.cli import run as cli
from litetuner.reports.starter_config import OF_THE_COMMAND, starter_toml, suggestions, warning
from litetuner.search.config.config import Config, keys, make_config
from litetuner.search.config.toml_file import read_toml
from litetuner.search.evaluation.preview import Cost, Preview, preview_model
from litetuner.search.runtime.executors import EXECUTORS
from tests.one_process import OneProcess
from tests.search.fakes import fake_config


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Preview:
    """A simulated model, looked at."""
    place = tmp_path_factory.mktemp("init")
    found = preview_model(fake_config(place / "run", max_drop=None, max_compressed_size=None), place)
    assert not list(place.iterdir()), "the working folder is gone"
    return found


def test_it_is_a_configuration_with_every_key_and_its_help(look: Preview, tmp_path: Path) -> None:
    text = starter_toml(look)
    path = tmp_path / "litetuner.toml"
    path.write_text(text)
    config = make_config(read_toml(path))
    assert config.model == "fake:model" and config.max_drop == "1%" and config.metric == "accuracy"
    for key, name in keys().items():
        if key not in (*OF_THE_COMMAND, "max-sram"):  # the target host tells no SRAM
            assert len(re.findall(rf"^(?:# )?{key} = ", text, flags=re.M)) == 1, key
            first = (Config.model_fields[name].description or "").split()[:4]
            assert " ".join(first) in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_what_was_given_is_in_the_file_and_not_replaced_by_a_suggestion(look: Preview) -> None:
    given = {"max_drop": "3%", "threshold": 0.5, "label": "kind", "steps": "int8,ptq", "custom_objects": "mine:layers"}
    base = {"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake"}
    config = make_config(base | given)
    written = tomllib.loads(starter_toml(dataclasses.replace(look, config=config)))
    wanted = {
        "max-drop": "3%",
        "threshold": 0.5,
        "label": "kind",
        "steps": ["int8", "ptq"],
        "custom-objects": "mine:layers",
    }
    assert {key: written.get(key) for key in wanted} == wanted and "executor" not in written


def test_every_line_may_be_uncommented(look: Preview) -> None:
    found = [re.fullmatch(r"# ([a-z-]+ = .*)", line) for line in starter_toml(look).splitlines()]
    lines = [match.group(1) for match in found if match and '"..."' not in match.group(1)]
    assert len(lines) >= 10
    base = {"model": "fake:model", "data": "fake:data"}
    for line in lines:
        make_config(base | tomllib.loads(line))  # raises for a key or a value that is none


def test_budgets_ask_for_more_than_plain_int8(look: Preview) -> None:
    measured = dataclasses.replace(
        look, baseline=Cost(320_000, 290_000, 254.0), int8=Cost(88_000, 78_454, 78.2), metric=0.86
    )
    found = suggestions(measured)
    assert (found["max-compressed-size"], found["max-latency"]) == ("63kB", "80us")
    slower = dataclasses.replace(measured, int8=Cost(88_000, 78_454, 400.0))
    assert suggestions(slower)["max-latency"] == "260us", "no slower than the baseline"
    none = dataclasses.replace(measured, baseline=Cost(320_000, 290_000, None), int8=None)
    assert "max-latency" not in suggestions(none) and suggestions(none)["max-compressed-size"] == "150kB"
    slow = dataclasses.replace(look.inspection, seconds_per_epoch=100.0)
    assert suggestions(dataclasses.replace(measured, inspection=slow))["time-budget"] == "40m"


def test_a_model_that_only_guesses_is_said(look: Preview) -> None:
    doubtful = dataclasses.replace(look.inspection, doubts=("accuracy 0.090 is below that of guessing. --preprocess?",))
    guessing = dataclasses.replace(look, inspection=doubtful)
    said = warning(guessing)
    assert said is not None and "--preprocess" in said and said[:40] in starter_toml(guessing)
    assert warning(look) is None


def test_a_real_model_and_the_file_that_is_there_already(
    model_file: Path, data_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "first.toml"
    command = ["init", str(model_file), "--data", str(data_file), "--out", str(out), "--target", "fake"]
    assert cli(command) == 0
    printed, said = capfd.readouterr()
    assert printed.strip() == str(out) and "next: litetuner search" in said
    config = make_config(read_toml(out))
    assert (config.model, config.data, config.target) == (str(model_file), str(data_file), ("fake",))
    assert "1,299 parameters; 300 train, 150 search, 150 test samples" in out.read_text()
    before = out.read_text()
    assert cli(command) == 2
    assert "exists" in capfd.readouterr().err and out.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["first.toml"]


def test_labels_that_are_quantities_make_it_a_regression(
    model_file: Path, arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXECUTORS, "local", OneProcess)
    values = {name: np.eye(3, dtype=np.float32)[y] * 1.7 if name[0] == "y" else y for name, y in arrays.items()}
    np.savez(tmp_path / "values.npz", **values)  # type: ignore[arg-type]
    out = tmp_path / "first.toml"
    data = ["--data", str(tmp_path / "values.npz"), "--out", str(out), "--target", "fake"]
    assert cli(["init", str(model_file), *data]) == 0
    assert make_config(read_toml(out)).metric == "mae"
