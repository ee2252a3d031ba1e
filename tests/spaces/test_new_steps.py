"""A new step is one file: a training and a rewriting step are offered, built, verified and reported; nothing else changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.tf import load

ROOT = Path(__file__).parents[2]

THIN = '''
"""Thinning: the smallest weights of each kernel become zero, without training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from litetuner.spaces.step import Stage, Step, knob


@dataclasses.dataclass(frozen=True)
class Thin(Step):
    """Zeros the share ``share`` of the smallest weights of each kernel."""

    name = "thin"
    stage = Stage.TRAIN
    order = 21
    makes = "sparsity"

    share: float = knob(0.5, (0.25, 0.5), "of the weights of each kernel that become zero")

    def label(self) -> str:
        return f"thin {100 * self.share:g}%"

    def invariants(self, layer_names):
        return [(name, "sparsity", self.share) for name in layer_names]

    def apply(self, subject: Any, context: Any) -> Any:
        """A copy of the model with fewer weights."""
        import tf_keras

        copy = tf_keras.models.clone_model(subject)
        values = [value.copy() for value in subject.get_weights()]
        for value in values:
            if value.ndim > 1:
                value[np.abs(value) <= np.quantile(np.abs(value), self.share)] = 0
        copy.set_weights(values)
        return copy
'''

CROP = '''
"""Cropping: weights of a float file that are small become zero."""

from __future__ import annotations

import dataclasses

import numpy as np

from litetuner.spaces.step import Rule, Stage, Step, knob
from litetuner.spaces.tflite.schema import pack_model, read_model


def _float(steps, around):
    if not any(step.name == "float32" for step in steps):
        yield "crop starts from a float32 file"


@dataclasses.dataclass(frozen=True)
class Crop(Step):
    """Zeros the share ``share`` of the smallest weights of each matrix in a float32 file."""

    name = "crop"
    stage = Stage.REWRITE
    rules = (Rule("cropping", "it changes floats", _float),)

    share: float = knob(0.75, (0.75, 0.9), "of the weights of each matrix that become zero")

    def label(self) -> str:
        return f"crop {100 * self.share:g}%"

    def invariants(self, layer_names):
        return [(name, "sparsity", self.share) for name in layer_names]

    def apply(self, subject, context) -> bytes:
        """The file with fewer weights."""
        model = read_model(subject)
        for tensor in model.subgraphs[0].tensors:
            data = model.buffers[tensor.buffer].data
            if tensor.type == 0 and len(tensor.shape) > 1 and data is not None and len(data):
                values = np.frombuffer(bytes(data), np.float32).copy()
                values[np.abs(values) <= np.quantile(np.abs(values), self.share)] = 0
                model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
        return bytes(pack_model(model))
'''

SEARCH = """
import json, litetuner
from litetuner.search.runtime.executors import local

local.usable_cores = lambda: 1  # two workers are enough
run = litetuner.tune(
    "m.keras", "d.npz", out="run", steps="thin,crop,float32", target="fake", trials=10, max_drop="90%", seed=1
)
run.report()
trials = [
    {
        "steps": [step.name for step in trial.candidate.steps],
        "label": trial.candidate.label,
        "state": trial.state.name,
        "invariants": list(trial.invariants),
        "reason": trial.reason,
    }
    for trial in run.record().trials
]
print(json.dumps(trials))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is installed (``litetuner`` is ``api/``, the others are inside), the two files, a model and data."""
    folder = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "api", folder / "litetuner", ignore=unwanted)
    for name in ("spaces", "objectives", "search", "reports"):
        shutil.copytree(ROOT / name, folder / "litetuner" / name, ignore=unwanted)
    for name, text in (("thin", THIN), ("crop", CROP)):
        (folder / "litetuner" / "spaces" / "steps" / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
    load()
    import keras

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)).astype(np.float32)
    np.savez(folder / "d.npz", x_train=x, y_train=np.argmax(x[:, :3], axis=1))
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(loss="sparse_categorical_crossentropy")
    model.save(folder / "m.keras")
    return folder


@pytest.fixture(scope="module")
def trials(folder: Path) -> list[dict[str, Any]]:
    """A real search: trained, converted, rewritten and verified in worker processes."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", SEARCH]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", ["thin", "crop"])
def test_a_new_step_is_offered_built_and_verified(trials: list[dict[str, Any]], name: str) -> None:
    having = [trial for trial in trials if name in trial["steps"]]
    built = [trial for trial in having if trial["invariants"]]
    assert len(having) < len(trials) and built, [(trial["label"], trial["state"], trial["reason"]) for trial in trials]
    for trial in built:
        share = int(trial["label"].split(f"{name} ")[1].split("%")[0]) / 100
        held = [item for item in trial["invariants"] if (item["property"], item["requested"]) == ("sparsity", share)]
        assert len(held) == 2 and all(item["ok"] and item["verified"] >= share - 0.02 for item in held)


def test_the_two_go_together_and_are_reported(trials: list[dict[str, Any]], folder: Path) -> None:
    assert any({"thin", "crop"} <= set(trial["steps"]) for trial in trials)
    assert any(" + float32 + crop " in trial["label"] for trial in trials)
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "thin" in page and "crop" in page
    assert "smallest weights of each kernel" in page  # what the step's own docstring says
