"""Every example runs: three trials each, with small models and data of the same shapes in place of the real ones."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from .documents import ROOT, own_folder, run_script
from .one_process import small_searches

pytestmark = pytest.mark.service

EXAMPLES = ROOT / "examples"
SHAPES = {"cifar10_resnet8": (32, 32, 3), "digits_dscnn": (49, 20, 1)}


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small_searches(patch)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A copy of the examples, to work in."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("runs", "exported", "__pycache__"))
    with own_folder(tmp_path / "examples"):
        yield tmp_path / "examples"


def write_stand_ins(model: str, data: str, shape: tuple[int, ...]) -> None:
    """A model of a few filters, untrained, and samples of ten classes that it tells apart by chance only."""
    from litetuner.spaces.tf import load

    load()
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input(shape)
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(model)
    rng = np.random.default_rng(0)
    counts = {"train": 200, "search": 60, "test": 60}
    arrays = {f"x_{split}": rng.random((count, *shape), dtype=np.float32) for split, count in counts.items()}
    np.savez(data, **arrays, **{f"y_{split}": np.arange(count) % 10 for split, count in counts.items()})


@pytest.mark.parametrize("name", SHAPES)
def test_a_configuration_is_searched(name: str, folder: Path) -> None:
    from litetuner import Run
    from litetuner.cli import run

    keys = tomllib.loads((folder / f"{name}.toml").read_text())
    write_stand_ins(keys["model"], keys["data"], SHAPES[name])
    assert run(["search", f"{name}.toml"]) == 0
    found = Run(keys["out"])
    assert found.best() is not None
    assert {budget["key"] for budget in found.summary()["budgets"]} == {key for key in keys if key.startswith("max-")}


SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_searches_and_exports(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_script([f"{name}.py", "--trials", "3"])
    *_, label, file = capsys.readouterr().out.splitlines()
    assert ": " in label and (folder / file).stat().st_size > 1000
    assert Path(file).parent.name == name


def test_the_readme_lists_every_example() -> None:
    told = re.findall(r"^\| `(\S+)` \|", (EXAMPLES / "README.md").read_text(), flags=re.M)
    assert sorted(told) == sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".toml"))
