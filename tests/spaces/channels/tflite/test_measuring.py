"""What a cut costs is measured: where layers behind make up for it, and where nothing does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.selection import worst_first
from litetuner.spaces.channels.tflite.measuring import MOST_MEASURED, SAMPLES, SHARE, measured_importances
from litetuner.spaces.channels.tflite.ranking import importances
from litetuner.spaces.channels.tflite.refitting import refit
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import trace_file
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import read_model

SEED, MULTIPLE = 1, 4


def dense(widths: list[int]) -> Any:
    """A float file of dense layers with ReLU, and five outputs."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    shape = layers.Input((12,))
    x = shape
    for width in widths:
        x = layers.Dense(width, "relu")(x)
    return Float32().apply(tf_keras.Model(shape, layers.Dense(5)(x)), None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(SHARE * SAMPLES, 12)).astype(np.float32)


def changed(file: bytes, samples: np.ndarray, at: int) -> tuple[float, np.ndarray]:
    """The error of a file without the worst channels of a group, as a share of the variance, and the channels."""
    channels = trace_file(read_model(file))
    scores = importances(file, channels, samples, SEED)
    going = worst_first(channels.groups[at], scores)[:MULTIPLE]
    kept = np.ones(len(channels.roots), dtype=bool)
    kept[going] = False
    few = samples[:SAMPLES]
    narrow = refit(file, remove(file, channels, kept), channels, kept, few, SEED)
    ours, theirs = (np.concatenate(run(each, few).values) for each in (narrow, file))
    return float(np.sum((ours - theirs) ** 2) / np.sum((theirs - theirs.mean(axis=0)) ** 2)), going


def test_the_importances_of_the_first_that_go_add_up_to_the_measured_error(samples: np.ndarray) -> None:
    file = dense([16, 16, 16])
    channels = trace_file(read_model(file))
    scores = importances(file, channels, samples, SEED)
    found = measured_importances(file, channels, scores, samples, SEED, MULTIPLE)
    groups = [at for at, group in enumerate(channels.groups) if group.pinned is None]
    assert len(groups) == 3
    for at in groups:
        error, going = changed(file, samples, at)
        assert float(found[going].sum()) == pytest.approx(error, rel=1e-3)
        numbers = channels.groups[at].channels
        ratios = found[numbers] / scores[numbers]
        assert np.allclose(ratios, ratios[0]), "which channels of a group go first stays"


def test_what_is_not_measured_lies_between_its_neighbors(samples: np.ndarray) -> None:
    file = dense([8] * (MOST_MEASURED + 3))
    channels = trace_file(read_model(file))
    scores = importances(file, channels, samples, SEED)
    found = measured_importances(file, channels, scores, samples, SEED, MULTIPLE)
    groups = [group.channels for group in channels.groups if group.pinned is None]
    assert len(groups) == MOST_MEASURED + 3
    factors = [float(np.log(found[numbers][0] / scores[numbers][0])) for numbers in groups]
    measured = np.unique(np.linspace(0, len(groups) - 1, MOST_MEASURED).round().astype(int))
    assert len(measured) == MOST_MEASURED
    for at in measured[1:-1]:
        error, going = changed(file, samples, [i for i, g in enumerate(channels.groups) if g.pinned is None][at])
        assert float(found[going].sum()) == pytest.approx(error, rel=1e-3)
    for at in set(range(len(groups))) - set(measured.tolist()):
        near = factors[at - 1], factors[at + 1]
        assert min(near) - 1e-6 <= factors[at] <= max(near) + 1e-6


def test_groups_that_are_too_narrow_stay_as_they_are(samples: np.ndarray) -> None:
    file = dense([8, 4])
    channels = trace_file(read_model(file))
    scores = importances(file, channels, samples, SEED)
    found = measured_importances(file, channels, scores, samples, SEED, 8)
    assert np.array_equal(found, scores)
