"""Inputs of any size get those of the data; without data they are refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from litetuner.objectives.scoring.scorer import describe_metric
from litetuner.spaces.building.describe import describe
from litetuner.spaces.building.inspect import inspect
from litetuner.spaces.building.jobs import InspectJob, InspectResult
from litetuner.spaces.building.models import user_model
from litetuner.spaces.errors import ModelError
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.store import Store
from litetuner.spaces.tf import load

RNG = np.random.default_rng(0)
JOB = InspectJob(
    environment=Environment({}, "", ""),
    limits=Limits(60.0, 1 << 32),
    model_content="m",
    data_content="d",
    metric="accuracy",
    outputs=OutputSettings(),
    loss=None,
    class_weights=None,
    preprocess=None,
    custom_objects=None,
    seed=0,
    batch_size=8,
    calibration=8,
)


def workspace(folder, sources):
    return Workspace(folder, Store(folder / "blobs"), Store(folder / "artifacts"), sources)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model for images of any size, one for texts of any length, a subclassed one, and data of each."""
    load()
    import keras

    layers, folder = keras.layers, tmp_path_factory.mktemp("any")
    inputs = keras.Input((None, None, 3), name="image")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(inputs))
    keras.Model(inputs, layers.Dense(2, name="head")(pooled)).save(folder / "image.keras")
    text = [keras.Input((None,)), layers.Embedding(20, 4), layers.GlobalMaxPooling1D(), layers.Dense(2)]
    keras.Sequential(text).save(folder / "text.keras")
    samples = {"image": RNG.random((40, 9, 7, 3), np.float32), "text": RNG.integers(0, 20, (40, 5))}
    for name, x in samples.items():
        np.savez(folder / f"{name}.npz", x_train=x, y_train=np.arange(40) % 2)
    return folder


@pytest.mark.parametrize("name, shape", [("image", (9, 7, 3)), ("text", (5,))])
def test_sizes_are_those_of_the_data(files, tmp_path, name, shape):
    sources = Sources(str(files / f"{name}.keras"), str(files / f"{name}.npz"))
    place = workspace(tmp_path, sources)
    result = inspect(JOB, describe_metric(JOB.metric), place)
    found = InspectResult.from_json(json.loads(json.dumps(result.to_json())))
    assert found == result
    assert found.model.bridge_refusal is None
    assert [tuple(sizes[1:]) for sizes in found.model.inputs.values()] == [shape]
    # A later job opens the file itself, and finds the sizes in what the inspection stored.
    later = user_model(sources, place.inspected(found.inspected).model).model
    assert tuple(later.inputs[0].shape[1:]) == shape


def test_without_data_they_are_refused_with_both_remedies(files, tmp_path):
    with pytest.raises(ModelError, match=r"Add --data.*keras.Input\(\(224, 224, 3\)\)"):
        describe(workspace(tmp_path, Sources(str(files / "image.keras"))))


def test_sizes_that_the_model_cannot_take_are_refused(files, tmp_path):
    np.savez(tmp_path / "small.npz", x_train=RNG.random((40, 2, 2, 3), np.float32), y_train=np.arange(40) % 2)
    sources = Sources(str(files / "image.keras"), str(tmp_path / "small.npz"))
    with pytest.raises(ModelError, match=r"cannot be built for that of the data \(image \(2, 2, 3\)\)") as caught:
        inspect(JOB, describe_metric(JOB.metric), workspace(tmp_path, sources))
    assert "\n" not in str(caught.value)
