"""Flags, TOML files and keyword arguments are one configuration; what does not fit is explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import litetuner
from litetuner.cli import run as cli
from litetuner.search.config.config import Config, keys, make_config
from litetuner.search.config.toml_file import read_toml, to_toml

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake"]
SAMPLE: dict[str, Any] = {
    "model": "fake:model",
    "data": "fake:data",
    "metric": "macro-f1",
    "target": ["fake", "host"],
    "max-latency": ["fake=2ms", "host=3ms"],
    "min-metric": 0.5,
    "trials": 3,
    "steps": ["prune", "int8"],
    "keep-names": True,
    "max-epochs": 0.5,
    "size": "file",
    "executor": "fake",
}
BUDGETS = ["--max-drop", "3%", "--max-compressed-size", "60kB"]


def search(out: Path, *more: str) -> int:
    return cli(["search", *FAKE, *BUDGETS, "--out", str(out), *more])


def test_flags_are_the_keys(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["search", "--help"]) == 0
    text = capfd.readouterr().out
    flags = {word.strip(",") for word in text.split() if word.startswith("--")}
    assert {f"--{key}" for key in keys()} <= flags
    assert {flag for flag in flags if flag[2:].removeprefix("no-") not in keys()} <= {"--help"}


def test_flags_toml_and_tune_make_the_same_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []

    def record(config: Config, listener: object = None) -> None:
        seen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("litetuner.search.run.run_search", record)
    flags: list[str] = []
    for key, value in SAMPLE.items():
        if value is True:
            flags.append(f"--{key}")
        else:
            flags += [
                part for item in (value if isinstance(value, list) else [value]) for part in (f"--{key}", str(item))
            ]
    assert cli(["search", *flags]) == 130
    toml = tmp_path / "a.toml"
    toml.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in SAMPLE.items()))
    assert cli(["search", str(toml)]) == 130
    with pytest.raises(KeyboardInterrupt):
        litetuner.tune(**{key.replace("-", "_"): value for key, value in SAMPLE.items()})
    assert seen[0] == seen[1] == seen[2]
    (tmp_path / "b.toml").write_text(to_toml(seen[0]))
    assert make_config(read_toml(tmp_path / "b.toml")) == seen[0]


def test_flags_win_over_the_toml(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "cfg.toml"
    lines = {"model": "fake:model", "data": "fake:data", "executor": "fake", "target": ["fake"], "trials": 9}
    lines |= {"out": str(tmp_path / "run"), "max-drop": "3%"}
    toml.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    assert cli(["search", str(toml), "--trials", "3", "--json"]) == 0
    assert sum(json.loads(capfd.readouterr().out)["counts"].values()) == 3
    assert make_config(read_toml(tmp_path / "run" / "litetuner.toml")).trials == 3


def test_a_switch_of_the_toml_can_be_taken_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "cfg.toml"
    toml.write_text('model = "fake:model"\ndata = "fake:data"\nexecutor = "fake"\ntarget = "fake"\njson = true\n')
    assert cli(["search", str(toml), "--trials", "2", "--no-json", "--out", str(tmp_path / "run")]) == 0
    assert "baseline" in capfd.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('modle = "a"\n', ("no key 'modle'", "did you mean 'model'")),
        ("[search]\ntrails = 3\n", ("no key 'trails'", "did you mean 'trials'")),
        ("trials = \n", ("is not a TOML file", "line 1")),
        ('model = "a"\ndata = "b"\ntrials = "three"\n', ("trials", "'three'")),
        ('model = "a"\ndata = "b"\ntrials = true\n', ("trials",)),
        ('model = "a"\ndata = "b"\nseed = 1.5\n', ("seed", "1.5")),
        ('model = ["a", "b"]\ndata = "b"\n', ("model",)),
        ('model = "a"\ndata = "b"\nmax-size = 300\n', ("max-size", "no unit", "300kB")),
        ('model = "a"\ndata = "b"\n[search]\n[other]\n', ("other",)),
    ],
)
def test_a_bad_toml_names_itself_and_the_key(
    tmp_path: Path, content: str, parts: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "cfg.toml"
    toml.write_text(content)
    assert cli(["search", str(toml)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and "Traceback" not in err
    assert "cfg.toml" in err
    for part in parts:
        assert part in err


def test_a_toml_that_does_not_exist(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text("")
    assert cli(["search", str(tmp_path / "confg.toml")]) == 2
    assert "did you mean 'config.toml'" in capfd.readouterr().err
    assert cli(["search", str(tmp_path)]) == 2
    assert "data is missing" in capfd.readouterr().err, "a folder is a model"
