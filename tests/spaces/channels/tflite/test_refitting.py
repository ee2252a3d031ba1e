"""Refitted files come closer to the original than others, and exactly to it where nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.channels.selection import choose
from litetuner.spaces.channels.tflite.ranking import file_cost, importances
from litetuner.spaces.channels.tflite.refitting import refit
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import FileChannels, trace_file
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import read_model

SEED = 1


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """Inputs of few degrees of freedom, as real ones are."""
    basis = np.random.default_rng(1).normal(size=(12, 8, 8, 3))
    return np.tensordot(np.random.default_rng(2).normal(size=(160, 12)), basis, 1).astype(np.float32)


@pytest.fixture(scope="module")
def file() -> bytes:
    """A residual block whose shortcut comes last in the file, a depthwise convolution, ReLU and ReLU6; 16 channels."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(image)
    y = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="first")(x)
    y = layers.Conv2D(16, 3, padding="same", name="second")(y)
    x = layers.ReLU()(layers.Add()([layers.Conv2D(16, 1, strides=2, name="shortcut")(x), y]))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="deep")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="point")(x)
    return Float32().apply(tf_keras.Model(image, layers.Dense(5, name="head")(layers.Flatten()(x))), None)  # type: ignore[arg-type]


def narrowed(file: bytes, samples: np.ndarray, spread: str = "even") -> tuple[bytes, FileChannels, np.ndarray]:
    channels = trace_file(read_model(file))
    scores = importances(file, channels, samples, SEED)
    kept = choose(channels, scores, 0.25, 4, spread, lambda: file_cost(file, channels))
    return remove(file, channels, kept), channels, kept


def error(file: bytes, other: bytes, samples: np.ndarray) -> float:
    """Squared error of outputs as a share of their variance."""
    ours, theirs = (np.concatenate(run(each, samples).values) for each in (file, other))
    return float(np.mean((ours - theirs) ** 2) / theirs.var(axis=0).mean())


@pytest.mark.parametrize("spread", ["even", "inner", "sensitivity"])
def test_others_make_up_for_what_goes(file: bytes, samples: np.ndarray, spread: str) -> None:
    train, fresh = samples[:128], samples[128:]
    narrow, channels, kept = narrowed(file, train, spread)
    refitted = refit(file, narrow, channels, kept, train, SEED)
    assert [len(group.channels) for group in channels.groups] == [3, 16, 16, 16, 16, 5]
    assert error(refitted, file, fresh) < 0.8 * error(narrow, file, fresh)  # .4 to .7 seen
    assert refit(file, narrow, channels, kept, train, SEED) == refitted
    names = [
        [operator.opcodeIndex for operator in read_model(each).subgraphs[0].operators] for each in (file, refitted)
    ]
    assert names[0] == names[1]


def test_what_others_repeat_goes_without_a_loss(samples: np.ndarray) -> None:
    """Of 16 channels, 8 are sums of the others: the file is half as wide, and computes the same."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(16, 1, name="stem")(image)
    model = tf_keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(x))))
    kernel, bias = model.get_layer("stem").get_weights()
    kernel[..., 8:] = kernel[..., :8] + kernel[..., 7::-1]
    model.get_layer("stem").set_weights([kernel, bias])
    file = Float32().apply(model, None)  # type: ignore[arg-type]
    channels = trace_file(read_model(file))
    (stem,) = (group for group in channels.groups if "stem" in group.layers[0])
    scores, kept = importances(file, channels, samples, SEED), np.ones(len(channels.roots), bool)
    kept[stem.channels[np.argsort(scores[stem.channels])[:8]]] = False
    narrow = remove(file, channels, kept)
    assert error(narrow, file, samples) > 0.1
    assert error(refit(file, narrow, channels, kept, samples, SEED), file, samples) < 1e-3


def test_a_layer_that_fails_is_named(file: bytes, samples: np.ndarray) -> None:
    narrow, channels, kept = narrowed(file, samples)
    broken = samples.copy()
    broken[3, 2, 2] = np.inf
    with pytest.raises(BuildFailed, match="cannot be refitted"):
        refit(file, narrow, channels, kept, broken, SEED)
